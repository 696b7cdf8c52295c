"""Work on every processor, results in the order of the work."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar, cast

T = TypeVar("T")
_END: Final = object()


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def ordered(tasks: Iterable[Callable[[], T]], most: int | None = None) -> Iterator[T]:
    """Run ``tasks`` in threads and yield their results in order; at most ``most`` are taken and kept at a time.

    Without ``most`` it is one more than there are processors.

    After an error, or when no more is asked for, tasks that have not begun never do.
    """
    waiting: deque[Future[T]] = deque()
    most = most or processors() + 1
    pool = ThreadPoolExecutor(processors())
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, items, _END)
            yield cast(T, item)
