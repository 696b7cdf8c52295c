from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.errors import ModelError
from pipelines.core.models import ranking, scoring
from pipelines.core.models.histories import Histories
from pipelines.core.models.scoring import Candidates
from tests.core.board import CUT, SIZE, USERS, bundle, proposed

NOTHING_KNOWN = dict.fromkeys(ranking.required("ranker_v1"), np.nan)


def hand_made(scores: list[float], users: list[int], items: list[int]) -> Candidates:
    ranks = np.array([[score] for score in scores], np.float32)
    source = np.zeros(len(users), np.int8)
    signals = np.zeros((len(users), 0), np.float32)
    return Candidates(
        max(users) + 1, np.array(users, np.int32), np.array(items, np.int32), ranks, ranks, source, signals
    )


def test_candidates_are_unseen_and_named_once() -> None:
    model = bundle()
    found = proposed(model, USERS, SIZE)
    pairs = list(zip(found.user_pos.tolist(), found.item_idx.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert pairs == sorted(pairs)
    for user, item in pairs:
        assert item not in model.histories.take(np.array([user])).item_idx


def test_candidates_remember_the_source_that_ranked_them_best() -> None:
    found = proposed(bundle(), np.array([3]), 1)
    svd_first = found.item_idx == 3
    assert found.source_ranks[svd_first, 0].tolist() == [0.0]
    assert found.source[svd_first].tolist() == [0]
    other = ~svd_first  # proposed by popularity: nobody but users of the other parity saw it
    assert found.source_ranks[other, 0].tolist() == [1.0]
    assert np.isnan(found.source_ranks[other, 1]).all()  # co-visitation knows no way to it
    assert (found.source[other] == 2).all()


def test_candidates_of_an_unknown_user_are_popular() -> None:
    found = proposed(bundle(), np.array([-1]), 4)
    assert len(found.item_idx) == 4
    assert (found.source == 2).all()
    assert np.isnan(found.source_scores[:, :2]).all()


def test_candidates_of_a_user_who_saw_everything_are_none() -> None:
    model = bundle()
    everything = Histories(np.array([0, SIZE]), np.arange(SIZE, dtype=np.int32), *np.ones((2, SIZE), np.float32))
    model = replace(model, histories=everything)
    found = proposed(model, np.array([0]), 5)
    assert len(found.item_idx) == 0
    model = replace(model, ranker=ranker(model))
    assert len(scoring.rank(model, found, NOTHING_KNOWN, CUT.timestamp())) == 0
    assert len(scoring.top_k(found, np.empty(0, np.float32), 3).item_idx) == 0


def ranker(model: scoring.Bundle):
    found = proposed(bundle(), USERS, SIZE)
    names = model.manifest["sources"]
    inputs = ranking.inputs(names, found, NOTHING_KNOWN, CUT.timestamp(), "ranker_v1")
    options = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 1, "colsample": 1, "trees": 5}
    grades = (found.user_pos == found.item_idx).astype(np.float32)
    return ranking.train(inputs, grades, found.user_pos, ranking.input_names(names, "ranker_v1"), options, seed=7)


def test_rank_puts_the_diagonal_first() -> None:
    model = bundle()
    model = replace(model, ranker=ranker(model))
    found = proposed(model, USERS, SIZE)
    best = scoring.top_k(found, scoring.rank(model, found, NOTHING_KNOWN, CUT.timestamp()), 1)
    assert best.item_idx.tolist() == list(range(SIZE))


def test_rank_takes_scalars_and_columns_alike() -> None:
    model = bundle()
    model = replace(model, ranker=ranker(model))
    found = proposed(model, USERS[:2], SIZE)
    columns = {name: np.full(len(found.item_idx), np.nan) for name in NOTHING_KNOWN}
    at = CUT.timestamp()
    scalars = scoring.rank(model, found, NOTHING_KNOWN, at)
    np.testing.assert_array_equal(scalars, scoring.rank(model, found, columns, np.array([at, at])))


def test_rank_without_a_feature_names_it() -> None:
    model = bundle()
    found = proposed(model, USERS, 3)
    lacking = {k: v for k, v in NOTHING_KNOWN.items() if k != "item_profile_v1__price"}
    with pytest.raises(ModelError, match="item_profile_v1__price"):
        scoring.rank(replace(model, ranker=ranker(model)), found, lacking, 0.0)


def test_rank_without_a_ranker_fails() -> None:
    model = bundle()
    with pytest.raises(ModelError, match="no ranker"):
        scoring.rank(model, proposed(model, USERS, 3), NOTHING_KNOWN, 0.0)


def test_top_k_breaks_ties_by_item() -> None:
    found = hand_made([1.0, 1.0, 2.0, 5.0], [0, 0, 0, 1], [7, 9, 8, 1])
    best = scoring.top_k(found, np.array([1.0, 1.0, 2.0, 5.0], np.float32), 2)
    assert best.item_idx.tolist() == [8, 7, 1]
    assert best.rank.tolist() == [0, 1, 0]
    assert best.of(1).scores.tolist() == [5.0]


def test_top_k_shows_what_may_be_kept_only() -> None:
    found = hand_made([3.0, 2.0, np.nan], [0, 0, 0], [4, 5, 6])
    scores = np.array([3.0, 2.0, np.nan], np.float32)
    assert scoring.top_k(found, scores, 3).item_idx.tolist() == [4, 5]
    assert scoring.top_k(found, scores, 3, keep=np.array([False, True, True])).item_idx.tolist() == [5]


def test_filled_makes_room_for_other_categories_where_one_is_full() -> None:
    model, user = bundle(), np.array([3])
    history, found = model.histories.take(user), proposed(model, user, 2)
    n_items = len(model.item_ids)
    category = np.arange(n_items, dtype=np.int32)
    category[found.item_idx] = 99  # a list has room for two of them
    keep = np.ones(n_items, bool)
    filled = scoring.filled(model, history, found, keep, 4, category, 2)
    spare = [i for i in model.sources["popularity"]["order"] if i not in found.item_idx and i not in history.item_idx]
    assert sorted(filled.item_idx) == sorted([*found.item_idx, *spare[:2]])
    assert scoring.filled(model, history, found, keep, 2, category, 2) is found


def test_filled_takes_no_more_of_a_category_than_a_list_has_room_for() -> None:
    model, user = bundle(), np.array([3])
    history, found = model.histories.take(user), proposed(model, user, 1)
    spare = [i for i in model.sources["popularity"]["order"] if i not in found.item_idx and i not in history.item_idx]
    category = np.full(len(model.item_ids), 7, np.int32)
    category[found.item_idx] = 99
    category[spare[2]] = 8
    filled = scoring.filled(model, history, found, np.ones(len(category), bool), 3, category, 1)
    assert sorted(filled.item_idx) == sorted([*found.item_idx, spare[0], spare[2]])
