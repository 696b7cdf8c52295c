"""Tasks run side by side; their results come in order."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pipelines.io.parallel import ordered, processors


def test_results_come_in_the_order_of_the_tasks() -> None:
    def task(n: int) -> Callable[[], int]:
        return lambda: time.sleep(0.002 * (n % 3)) or n

    assert list(ordered(task(n) for n in range(20))) == list(range(20))


@pytest.mark.skipif(processors() < 2, reason="needs two processors")
def test_tasks_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)
    assert len(list(ordered([meeting.wait, meeting.wait]))) == 2


def test_error_ends_the_work() -> None:
    begun: list[int] = []

    def tasks() -> Iterator[Callable[[], int]]:
        for n in range(100):
            begun.append(n)
            yield lambda: 1 // 0

    with pytest.raises(ZeroDivisionError):
        list(ordered(tasks()))
    assert len(begun) < 20
