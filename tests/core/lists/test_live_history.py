import numpy as np
import pytest

from pipelines.core.lists.live_history import Recent, among, joined, of_user
from pipelines.core.models.histories import Histories

HISTORY = Histories(
    np.array([0, 2]), np.array([3, 7], np.int32), np.array([1.0, 4.0], np.float32), np.array([8.0, 1.0], np.float32)
)


def recent(*rows: tuple[int, float, float]) -> Recent:
    """(item, age in days, weight)."""
    item, age, weight = np.array(rows, float).reshape(-1, 3).T
    return Recent(item.astype(np.int64), age, weight)


def rows(history: Histories) -> list[tuple[int, float, float]]:
    columns = (history.item_idx, history.age_days, history.weight)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_joined_puts_new_items_in_the_order_of_items() -> None:
    now = joined(HISTORY, recent((5, 0.5, 2), (9, 0.1, 1)), 0.0)
    assert rows(now) == [(3, 1.0, 8.0), (5, 0.5, 2.0), (7, 4.0, 1.0), (9, pytest.approx(0.1), 1.0)]
    assert now.indptr.tolist() == [0, 4]


def test_joined_item_has_its_newest_age_and_all_its_weight() -> None:
    assert rows(joined(HISTORY, recent((7, 0.5, 2), (7, 0.25, 4)), 0.0)) == [(3, 1.0, 8.0), (7, 0.25, 7.0)]


def test_joined_history_has_aged_since_the_cut() -> None:
    assert rows(joined(HISTORY, recent((5, 0.0, 1)), 2.0)) == [(3, 3.0, 8.0), (5, 0.0, 1.0), (7, 6.0, 1.0)]
    assert rows(joined(HISTORY, recent(), 2.0)) == [(3, 3.0, 8.0), (7, 6.0, 1.0)]


def test_joined_leaves_out_unknown_items_and_events_without_weight() -> None:
    assert rows(joined(HISTORY, recent((-1, 0.0, 1), (9, 0.0, 0)), 0.0)) == rows(HISTORY)


def test_joined_event_of_the_future_is_of_now() -> None:
    assert rows(joined(HISTORY, recent((9, -0.5, 1)), 0.0))[-1] == (9, 0.0, 1.0)


def test_history_of_one_user_is_a_part_of_all() -> None:
    everybody = Histories(
        np.array([0, 2, 2, 3]), np.array([3, 7, 5], np.int32), np.array([1, 4, 2], np.float32), np.ones(3, np.float32)
    )
    assert [rows(of_user(everybody, user)) for user in (0, 1, 2, -1)] == [
        [(3, 1.0, 1.0), (7, 4.0, 1.0)], [], [(5, 2.0, 1.0)], [],
    ]  # fmt: skip
    assert of_user(everybody, 2).indptr.tolist() == [0, 1]
    assert np.shares_memory(of_user(everybody, 0).item_idx, everybody.item_idx)


def test_among_finds_what_is_there() -> None:
    assert among(np.array([3, 7]), np.array([7, 8, -1, 3])).tolist() == [True, False, False, True]
    assert among(np.zeros(0, int), np.array([7])).tolist() == [False]
