"""Progress of long work: a bar on a terminal, nothing otherwise (the stage logs one line at its end)."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Iterate over ``items`` and show how far it is."""
    yield from tqdm(items, desc=label, total=total, leave=False, disable=not sys.stderr.isatty())
