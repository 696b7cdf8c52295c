from dataclasses import replace

import numpy as np
import pytest

from pipelines.core import ranking, scoring
from pipelines.core.errors import ModelError
from pipelines.core.scoring import Candidates
from tests.core.board import CUT, SIZE, USERS, bundle

NOTHING_KNOWN = dict.fromkeys(ranking.required("ranker_v1"), np.nan)


def hand_made(scores: list[float], users: list[int], items: list[int]) -> Candidates:
    ranks = np.array([[score] for score in scores], np.float32)
    source = np.zeros(len(users), np.int8)
    return Candidates(max(users) + 1, np.array(users, np.int32), np.array(items, np.int32), ranks, ranks, source)


def test_candidates_are_unseen_and_named_once() -> None:
    model = bundle()
    found = scoring.candidates(model, USERS, SIZE)
    pairs = list(zip(found.user_pos.tolist(), found.item_idx.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert pairs == sorted(pairs)
    for user, item in pairs:
        assert item not in model.seen_indices[model.seen_indptr[user] : model.seen_indptr[user + 1]]


def test_candidates_remember_the_source_that_ranked_them_best() -> None:
    found = scoring.candidates(bundle(), np.array([3]), 1)
    svd_first = found.item_idx == 3
    assert found.source_ranks[svd_first, 0].tolist() == [0.0]
    assert found.source[svd_first].tolist() == [0]
    other = ~svd_first  # proposed by popularity alone: nobody but users of the other parity saw it
    assert np.isnan(found.source_ranks[other, 0]).all()
    assert (found.source[other] == 2).all()


def test_candidates_of_an_unknown_user_are_popular() -> None:
    found = scoring.candidates(bundle(), np.array([-1]), 4)
    assert len(found.item_idx) == 4
    assert (found.source == 2).all()
    assert np.isnan(found.source_scores[:, :2]).all()


def test_candidates_of_a_user_who_saw_everything_are_none() -> None:
    model = bundle()
    whole = np.arange(SIZE, dtype=np.int32)
    model = replace(model, seen_indptr=np.arange(SIZE + 1) * SIZE, seen_indices=np.tile(whole, SIZE))
    found = scoring.candidates(model, np.array([0]), 5)
    assert len(found.item_idx) == 0
    model = replace(model, ranker=ranker(model))
    assert len(scoring.rank(model, found, NOTHING_KNOWN, CUT.timestamp())) == 0
    assert len(scoring.top_k(found, np.empty(0, np.float32), 3).item_idx) == 0


def ranker(model: scoring.Bundle):
    found = scoring.candidates(bundle(), USERS, SIZE)
    names = model.manifest["sources"]
    inputs = ranking.inputs(names, found, NOTHING_KNOWN, CUT.timestamp(), "ranker_v1")
    options = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 1, "colsample": 1, "trees": 5}
    grades = (found.user_pos == found.item_idx).astype(np.float32)
    return ranking.train(inputs, grades, found.user_pos, ranking.input_names(names, "ranker_v1"), options, seed=7)


def test_rank_puts_the_diagonal_first() -> None:
    model = bundle()
    model = replace(model, ranker=ranker(model))
    found = scoring.candidates(model, USERS, SIZE)
    best = scoring.top_k(found, scoring.rank(model, found, NOTHING_KNOWN, CUT.timestamp()), 1)
    assert best.item_idx.tolist() == list(range(SIZE))


def test_rank_takes_scalars_and_columns_alike() -> None:
    model = bundle()
    model = replace(model, ranker=ranker(model))
    found = scoring.candidates(model, USERS[:2], SIZE)
    columns = {name: np.full(len(found.item_idx), np.nan) for name in NOTHING_KNOWN}
    at = CUT.timestamp()
    scalars = scoring.rank(model, found, NOTHING_KNOWN, at)
    np.testing.assert_array_equal(scalars, scoring.rank(model, found, columns, np.array([at, at])))


def test_rank_without_a_feature_names_it() -> None:
    model = bundle()
    found = scoring.candidates(model, USERS, 3)
    lacking = {k: v for k, v in NOTHING_KNOWN.items() if k != "item_profile_v1__price"}
    with pytest.raises(ModelError, match="item_profile_v1__price"):
        scoring.rank(replace(model, ranker=ranker(model)), found, lacking, 0.0)


def test_rank_without_a_ranker_fails() -> None:
    model = bundle()
    with pytest.raises(ModelError, match="no ranker"):
        scoring.rank(model, scoring.candidates(model, USERS, 3), NOTHING_KNOWN, 0.0)


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
