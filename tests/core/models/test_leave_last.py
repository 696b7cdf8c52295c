import numpy as np

from pipelines.core.models import leave_last
from pipelines.core.models.interactions import Interactions


def log(rows: list[tuple[int, int]]) -> Interactions:
    """(user, item) in the order of time, a second apart."""
    user, item = np.array(rows, np.int32).T
    ids = (np.array([f"u{n}" for n in range(user.max() + 1)]), np.array([f"i{n:02}" for n in range(item.max() + 1)]))
    return Interactions(*ids, user, item, np.ones(len(rows), np.float32), np.arange(len(rows), dtype=float))


def pairs(part: Interactions) -> list[tuple[int, int]]:
    return list(zip(part.user_idx.tolist(), part.item_idx.tolist(), strict=True))


def test_split_leaves_out_the_items_that_each_user_met_last() -> None:
    rows = [(user, item) for item in range(10) for user in (0, 1)]
    known, later = leave_last.split(log(rows))
    assert pairs(later) == [(0, 8), (1, 8), (0, 9), (1, 9)]
    assert pairs(known) == rows[:16]


def test_split_leaves_an_item_out_with_all_its_events() -> None:
    known, later = leave_last.split(log([(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 0), (0, 4)]))
    assert pairs(later) == [(0, 4), (0, 4)]  # item 0 came again last, but was met first
    assert pairs(known) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 0)]


def test_split_leaves_at_least_one_item_out() -> None:
    assert len(leave_last.split(log([(0, item) for item in range(7)]))[1].weight) == 1


def test_split_keeps_all_of_users_with_few_items() -> None:
    known, later = leave_last.split(log([(0, 0), (0, 1), (0, 2), (0, 3)]))
    assert (len(known.weight), len(later.weight)) == (4, 0)


def test_split_keeps_users_and_items() -> None:
    whole = log([(0, item) for item in range(10)])
    for part in leave_last.split(whole):
        assert part.item_ids is whole.item_ids
        assert part.user_ids is whole.user_ids
