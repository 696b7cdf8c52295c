from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.models import histories, learning, lessons
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.interactions import Interactions
from pipelines.core.models.past import Catalogue

DAY = 86_400.0
ITEMS = 30


def log(users: int, days: int = 60, seed: int = 3) -> Interactions:
    """Users meet half of the items of their own parity, one after the other, at random times."""
    rng = np.random.default_rng(seed)
    rows = [(u, i) for u in range(users) for i in rng.permutation(np.arange(u % 2, ITEMS, 2))[: ITEMS // 4]]
    user, item = (np.array(column, np.int32) for column in zip(*rows, strict=True))
    when = np.sort(rng.random(len(rows))) * days * DAY
    order = rng.permutation(len(rows))
    ids = (np.array([f"u{u:03}" for u in range(users)]), np.array([f"i{i:02}" for i in range(ITEMS)]))
    return Interactions(*ids, user[order], item[order], np.ones(len(rows), np.float32), when)


def fit(interactions: Interactions, window_days: float = 10) -> Bundle:
    catalogue = Catalogue.unknown(ITEMS)
    return learning.fit(interactions, 60 * DAY, window_days, catalogue, seed=7, report=lambda line: None)


@pytest.fixture(scope="module")
def model() -> Bundle:
    return fit(log(200))


def test_fit_learns_the_taste_of_users(model: Bundle) -> None:
    items, _ = learning.recommend(model, np.arange(200), 5)
    own = (items % 2 == (np.arange(200) % 2)[:, None]).mean()
    assert own > 0.95


def test_recommend_leaves_out_what_users_had_and_never_repeats_an_item(model: Bundle) -> None:
    items, _ = learning.recommend(model, np.arange(200), ITEMS)
    for user, row in enumerate(items):
        shown = row[row >= 0].tolist()
        assert len(shown) == len(set(shown))
        assert not set(shown) & set(model.histories.take(np.array([user])).item_idx.tolist())


def test_recommend_gives_falling_scores_and_pads_short_lists(model: Bundle) -> None:
    items, scores = learning.recommend(model, np.array([0]), ITEMS + 5)
    shown = items[0] >= 0
    assert (np.diff(scores[0][shown]) <= 0).all()
    assert np.isnan(scores[0][~shown]).all()
    assert not shown[-5:].any()


def test_recommend_to_an_unknown_user_is_what_is_popular(model: Bundle) -> None:
    items, _ = learning.recommend(model, np.array([-1]), 3)
    assert (items >= 0).all()


def test_fit_repeats_with_the_same_seed(model: Bundle) -> None:
    again = fit(log(200))
    assert again.manifest == model.manifest
    assert again.ranker is not None
    assert model.ranker is not None
    assert again.ranker.blend == model.ranker.blend
    for name, arrays in model.sources.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, again.sources[name][key])


def test_fit_with_a_handful_of_users_is_recent_popularity() -> None:
    few = fit(log(6))
    items, _ = learning.recommend(few, np.array([-1]), ITEMS)
    popular = few.sources["popularity"]["scores"]
    assert (np.diff(popular[items[0]]) <= 0).all()
    assert few.manifest["choice"]["source"] == "popularity"


def test_fit_of_a_log_shorter_than_the_window_practises_on_the_last_items_of_users() -> None:
    short = fit(log(200), window_days=55)
    items, _ = learning.recommend(short, np.arange(200), 5)
    assert short.manifest["choice"]["users"] > 30
    assert (items % 2 == (np.arange(200) % 2)[:, None]).mean() > 0.95


def test_fit_without_an_order_in_time_learns_the_taste_of_users() -> None:
    ordered = log(200)
    at_once = replace(ordered, epoch_s=np.zeros(len(ordered.epoch_s)))
    items, _ = learning.recommend(fit(at_once), np.arange(200), 5)
    assert (items % 2 == (np.arange(200) % 2)[:, None]).mean() > 0.95


def test_gained_is_the_strongest_event_on_what_was_new() -> None:
    past = log(4).before(30 * DAY)
    known = histories.of_log(past, 30 * DAY)
    had = int(known.take(np.array([0])).item_idx[0])
    new = next(i for i in range(ITEMS) if i not in known.take(np.array([0])).item_idx)
    user, item = np.zeros(3, np.int32), np.array([had, new, new], np.int32)
    later = Interactions(past.user_ids, past.item_ids, user, item, np.array([8, 1, 4], np.float32), np.zeros(3))
    gains = lessons.gained(known, later, ITEMS)
    assert gains[0].indices.tolist() == [new]
    assert gains[0].data.tolist() == [4.0]
