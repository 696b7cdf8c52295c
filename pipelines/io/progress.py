"""Progress of long work: a bar on a terminal, nothing otherwise (the stage logs one line at its end)."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Iterate over ``items`` and show how far it is."""
    yield from tqdm(items, desc=label, total=total, leave=False, disable=not sys.stderr.isatty())


@contextmanager
def counting(label: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Show how far it is as often as the yielded function is called with how much more is done, of ``total`` or of

    an unknown number.
    """
    with tqdm(desc=label, total=total, leave=False, disable=not sys.stderr.isatty(), unit_scale=True) as bar:
        yield bar.update
