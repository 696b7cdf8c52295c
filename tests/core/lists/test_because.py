import numpy as np

from pipelines.core.lists.because import led_by
from pipelines.core.models.histories import Histories

# 0 → 3 (0.5), 4 (0.1); 1 → 3 (0.9); 2 → 4 (0.1)
ARRAYS = {
    "indptr": np.array([0, 2, 3, 4, 4, 4, 4], np.int32),
    "indices": np.array([3, 4, 3, 4], np.int32),
    "data": np.array([0.5, 0.1, 0.9, 0.1], np.float32),
}


def _history(items: list[int], ages: list[float]) -> Histories:
    ones = np.ones(len(items), np.float32)
    return Histories(np.array([0, len(items)]), np.array(items, np.int32), np.array(ages, np.float32), ones)


def test_led_by_is_the_item_that_speaks_most() -> None:
    found = led_by(ARRAYS, _history([0, 1, 2], [1, 5, 3]), np.array([4, 3, 5]))
    assert found.tolist() == [0, 1, -1]


def test_led_by_is_the_newest_of_equal_ones() -> None:
    assert led_by(ARRAYS, _history([0, 2], [2, 1]), np.array([4])).tolist() == [2]


def test_led_by_nothing() -> None:
    assert led_by(ARRAYS, _history([], []), np.array([3])).tolist() == [-1]
    assert led_by(ARRAYS, _history([0], [1]), np.zeros(0, np.int32)).tolist() == []
