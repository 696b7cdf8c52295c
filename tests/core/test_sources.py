from datetime import timedelta

import numpy as np
import pytest

from pipelines.core import covisitation, popularity, scoring, svd
from pipelines.core.interactions import encode
from pipelines.core.sources import SOURCES
from tests.core.board import CUT, SIZE, USERS, bundle, events

WEIGHTS = {"view": 1.0, "click": 2.0, "add_to_cart": 4.0, "remove_from_cart": 0.0, "purchase": 8.0}
AT = CUT.timestamp()
SVD = {"factors": 2, "half_life_days": 60, "user_scale": 0.5, "item_scale": 0.4}


@pytest.mark.parametrize("name", ["svd", "covisitation"])
def test_source_recommends_the_withheld_diagonal(name: str) -> None:
    model = bundle()
    scores = scoring.mask_seen(model, SOURCES[name].score(model.sources[name], USERS), USERS)
    assert scores.argmax(axis=1).tolist() == list(range(SIZE))


def test_popularity_ranks_by_decayed_weight() -> None:
    bought = {"event_id": "x", "user_id": "u00", "item_id": "i01", "event_type": "purchase", "quantity": 1}
    model = bundle({**bought, "timestamp": CUT - timedelta(hours=1)})
    assert model.sources["popularity"]["scores"].argmax() == 1


def test_popularity_halves_in_a_half_life() -> None:
    interactions = encode(events().slice(0, 1), WEIGHTS)
    seven_later = interactions.epoch_s[0] + 7 * 86_400
    fitted = popularity.fit(interactions, seven_later, np.random.default_rng(0), half_life_days=7)
    assert fitted["scores"].tolist() == [0.5]


@pytest.mark.parametrize("name", ["svd", "covisitation"])
def test_source_says_nothing_to_an_unknown_user(name: str) -> None:
    scores = SOURCES[name].score(bundle().sources[name], np.array([-1, 0]))
    assert np.isneginf(scores[0]).all()
    assert np.isfinite(scores[1]).any()


def test_source_gives_one_user_what_it_gives_in_a_batch() -> None:
    model = bundle()
    for name, source in SOURCES.items():
        batch = source.score(model.sources[name], USERS)
        alone = source.score(model.sources[name], USERS[4:5])
        np.testing.assert_allclose(alone[0], batch[4], rtol=1e-5, atol=1e-12)


def test_source_repeats_with_the_same_seed() -> None:
    one, other = bundle(), bundle()
    for name in SOURCES:
        for key, array in one.sources[name].items():
            np.testing.assert_array_equal(array, other.sources[name][key])


def test_source_ignores_what_comes_after_the_cut() -> None:
    future = {"event_id": "z", "user_id": "new", "item_id": "i03", "event_type": "purchase", "quantity": 1}
    one, other = bundle(), bundle({**future, "timestamp": CUT})
    assert one.user_ids.tolist() == other.user_ids.tolist()
    for name in SOURCES:
        for key, array in one.sources[name].items():
            np.testing.assert_array_equal(array, other.sources[name][key])


def test_svd_folds_a_user_in_by_the_row_of_weights() -> None:
    interactions = encode(events(), WEIGHTS)
    fitted = svd.fit(interactions, AT, np.random.default_rng(7), **SVD)
    row = svd.weigh(interactions.user_items(interactions.decayed(AT, 60)), user_scale=0.5)[3]
    folded = row @ fitted["fold_factors"] @ fitted["item_factors"].T
    np.testing.assert_allclose(folded[0], svd.score(fitted, np.array([3]))[0], rtol=1e-4, atol=1e-6)


def test_svd_of_a_single_item_has_no_opinion() -> None:
    interactions = encode(events().slice(0, 1), WEIGHTS)
    fitted = svd.fit(interactions, AT, np.random.default_rng(7), **SVD)
    assert svd.score(fitted, np.array([0])).tolist() == [[0.0]]


def test_covisitation_keeps_the_best_neighbours() -> None:
    interactions = encode(events(), WEIGHTS)
    fitted = covisitation.fit(interactions, AT, np.random.default_rng(7), window=10, half_life_days=60, neighbours=2)
    assert np.diff(fitted["indptr"]).tolist() == [2] * SIZE
    assert all((fitted["indices"][2 * i : 2 * i + 2] % 2 == i % 2).all() for i in range(SIZE))


def test_covisitation_weighs_the_newest_item_of_a_user_most() -> None:
    interactions = encode(events(), WEIGHTS)
    fitted = covisitation.fit(interactions, AT, np.random.default_rng(7), window=1, half_life_days=60, neighbours=2)
    first = slice(*fitted["recent_indptr"][:2])
    assert fitted["recent_indices"][first].tolist() == [10, 8, 6, 4, 2]  # user 0, newest first
    np.testing.assert_allclose(fitted["recent_data"][first], [(1 + n) ** -0.5 for n in range(5)], rtol=1e-6)
