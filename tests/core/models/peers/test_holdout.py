from dataclasses import replace
from math import log2

import numpy as np
import pytest

from pipelines.core.models.interactions import Interactions
from pipelines.core.models.peers.holdout import Holdout, measure, split

DAY = 86_400.0
CUT = 10 * DAY
LOG = [  # (user, item, day)
    ("a", "p", 1), ("b", "q", 2), ("c", "p", 3), ("a", "r", 9.99),
    ("a", "q", 10), ("a", "p", 11), ("b", "new", 12), ("b", "r", 13), ("b", "r", 14), ("stranger", "p", 14),
    ("c", "q", 15),
]  # fmt: skip


def _log(rows: list[tuple[str, str, float]]) -> Interactions:
    users, user_idx = np.unique([user for user, _, _ in rows], return_inverse=True)
    items, item_idx = np.unique([item for _, item, _ in rows], return_inverse=True)
    days = np.array([day for _, _, day in rows])
    weight = np.ones(len(rows), np.float32)
    return Interactions(users, items, user_idx.astype(np.int32), item_idx.astype(np.int32), weight, days * DAY)


def _relevant(past: Interactions, holdout: Holdout) -> dict[str, list[int]]:
    lists = np.split(holdout.item_idx, holdout.indptr[1:-1])
    return {str(past.user_ids[user]): items.tolist() for user, items in zip(holdout.users, lists, strict=True)}


def test_split_past_is_what_lies_before_the_cut() -> None:
    past, _ = split(_log(LOG), CUT, 5)
    assert past.user_ids.tolist() == ["a", "b", "c"]
    assert past.item_ids.tolist() == ["p", "q", "r"]
    rows = list(zip(past.user_ids[past.user_idx], past.item_ids[past.item_idx], past.epoch_s / DAY, strict=True))
    assert rows == LOG[:4]


def test_split_relevant_are_new_items_of_users_with_a_history() -> None:
    past, holdout = split(_log(LOG), CUT, 5)
    # a has met p and r; b's "new" is behind the three known items; c's q comes when the window is over
    assert _relevant(past, holdout) == {"a": [1], "b": [2, 3]}


def test_split_window_ends_before_its_last_moment() -> None:
    past, holdout = split(_log(LOG), CUT, 5 + 1e-6)
    assert _relevant(past, holdout)["c"] == [1]


def test_split_past_ignores_what_comes_later() -> None:
    with_future, without = split(_log(LOG), CUT, 5)[0], split(_log(LOG[:4]), CUT, 5)[0]
    for name in ("user_ids", "item_ids", "user_idx", "item_idx", "weight", "epoch_s"):
        np.testing.assert_array_equal(getattr(with_future, name), getattr(without, name))


def test_split_of_a_cut_before_everything_knows_nobody() -> None:
    past, holdout = split(_log(LOG), 0.0, 30)
    assert len(past.user_ids) == len(past.item_ids) == len(holdout.users) == 0


def test_measure_averages_over_three_users() -> None:
    holdout = Holdout(np.arange(3), np.array([0, 1, 3, 5]), np.array([4, 0, 1, 2, 9]))
    ranked = np.array([[4, 0, 1], [5, 0, 1], [3, 6, -1]])
    ideal = 1 + 1 / log2(3)
    expected = {
        "ndcg@1": (1 + 0 + 0) / 3,
        "recall@1": (1 + 0 + 0) / 3,
        "ndcg@3": (1 + (1 / log2(3) + 1 / log2(4)) / ideal + 0) / 3,
        "recall@3": (1 + 2 / 2 + 0) / 3,
    }
    assert measure(ranked, holdout, [1, 3]) == pytest.approx(expected)


def test_measure_counts_items_that_nobody_knew_in_recall() -> None:
    holdout = Holdout(np.array([0]), np.array([0, 2]), np.array([1, 7]))
    assert measure(np.array([[1, 2]]), holdout, [2])["recall@2"] == 0.5


def test_sample_keeps_whole_users() -> None:
    past, holdout = split(_log(LOG), CUT, 30)
    sampled = holdout.sample(2, np.random.default_rng(0))
    everybody, some = _relevant(past, holdout), _relevant(past, sampled)
    assert len(some) == 2
    assert some.items() <= everybody.items()
    assert holdout.sample(3, np.random.default_rng(0)) == holdout


def test_split_takes_rows_of_the_same_moment_as_they_stand() -> None:
    log = _log([("a", "p", 1), ("a", "q", 1), ("b", "p", 1)])
    past, _ = split(replace(log, weight=np.array([3, 1, 2], np.float32)), CUT, 5)
    assert past.weight.tolist() == [3, 1, 2]
