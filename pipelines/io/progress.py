"""Progress of long work: a bar on a terminal, one log line otherwise."""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger(__name__)


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Iterate over ``items`` and show how far it is."""
    bar = tqdm(items, desc=label, total=total, leave=False, disable=not sys.stderr.isatty())
    yield from bar
    log.info("%s: %d done", label, bar.n if not bar.disable else (total or 0))
