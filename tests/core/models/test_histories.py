import numpy as np

from pipelines.core.models import histories
from pipelines.core.models.interactions import Interactions

DAY = 86_400.0


def log() -> Interactions:
    """User a meets item y on day 1 and 3 and x on day 2; user b has done nothing; user c meets z on day 4."""
    rows = [(0, 1, 2.0, 1), (0, 0, 1.0, 2), (0, 1, 3.0, 3), (2, 2, 8.0, 4)]
    user, item, weight, day = (np.array(column) for column in zip(*rows, strict=True))
    ids = (np.array(["a", "b", "c"]), np.array(["x", "y", "z"]))
    return Interactions(*ids, user.astype(np.int32), item.astype(np.int32), weight.astype(np.float32), day * DAY)


def test_histories_name_each_item_once_with_its_last_age_and_whole_weight() -> None:
    found = histories.of_log(log(), 5 * DAY)
    assert found.indptr.tolist() == [0, 2, 2, 3]
    assert found.item_idx.tolist() == [0, 1, 2]
    assert found.age_days.tolist() == [3.0, 2.0, 1.0]
    assert found.weight.tolist() == [1.0, 5.0, 8.0]


def test_histories_of_an_empty_log_are_empty() -> None:
    found = histories.of_log(log().before(0.0), 5 * DAY)
    assert found.indptr.tolist() == [0, 0, 0, 0]
    assert len(found.item_idx) == 0


def test_histories_take_users_in_any_order_and_unknown_ones() -> None:
    taken = histories.of_log(log(), 5 * DAY).take(np.array([2, -1, 0]))
    assert taken.indptr.tolist() == [0, 1, 1, 3]
    assert taken.item_idx.tolist() == [2, 0, 1]
    assert taken.user_pos.tolist() == [0, 2, 2]


def test_histories_recency_halves_in_a_half_life() -> None:
    assert histories.of_log(log(), 5 * DAY).recency(1.0).tolist() == [0.125, 0.25, 0.5]


def test_histories_as_a_matrix_hold_the_values_given() -> None:
    found = histories.of_log(log(), 5 * DAY)
    assert found.matrix(np.array([1.0, 2.0, 3.0]), 3).toarray().tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 3]]
