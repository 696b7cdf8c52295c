"""How much of the catalogue people get to see: distinct items recommended within the last hour."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

WINDOW_S: Final = 3600.0
NEVER: Final = -np.inf


class Coverage:
    """For each model version when each of its items was last recommended: exact, in 4 bytes an item."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._last: dict[int, np.ndarray] = {}

    def shown(self, version: int, items: int, item_idx: Sequence[int]) -> None:
        """Note that items (positions below ``items``) of a version were recommended now."""
        last = self._last.get(version)
        if last is None:
            last = self._last.setdefault(version, np.full(items, NEVER, np.float32))
        last[item_idx] = self._clock() - self._began

    def ratios(self) -> Iterator[tuple[int, float]]:
        """(version, share of its items that were recommended within the window); forgets versions without any."""
        since = self._clock() - self._began - WINDOW_S
        for version, last in list(self._last.items()):
            if ratio := float((last >= since).mean()):
                yield version, ratio
            else:
                del self._last[version]
