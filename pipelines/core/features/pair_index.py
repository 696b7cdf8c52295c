"""Pairs of codes as dense places: what arrays of pairs are indexed with."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.core.features.growing import room

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Places = NDArray[np.integer]

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: consecutive keys fall far apart
_SECOND: Final = np.int64(0xFFFFFFFF)


class PairIndex:
    """Pairs of codes ↔ places 0, 1, 2, … in the order of their first appearance.

    A hash table with open addressing, probed for all pairs of a day at once: finding one costs the same however many
    there are. 8 bytes a pair, and 8 to 16 for the table.
    """

    def __init__(self, keys: Int64 | None = None, slots: Int32 | None = None) -> None:
        self._keys = np.empty(0, np.int64) if keys is None else keys
        self._size = len(self._keys)
        self._slots = np.full(16, -1, np.int32) if slots is None else slots

    def __len__(self) -> int:
        return self._size

    @property
    def keys(self) -> Int64:
        """The pairs in the order of their places, as ``first << 32 | second``."""
        return self._keys[: self._size]

    @property
    def slots(self) -> Int32:
        """The table: with ``keys`` all that makes the index again."""
        return self._slots

    def codes(self, places: Places) -> tuple[Int64, Int64]:
        """The first and the second code of each place."""
        keys = self._keys[places]
        return keys >> 32, keys & _SECOND

    def find(self, first: Places, second: Places) -> Int32:
        """The place of each pair; -1 for those that have none."""
        return self._find(pair_keys(first, second))

    def add(self, first: Places, second: Places) -> Int32:
        """The place of each pair, giving the next ones to those that have none."""
        keys = pair_keys(first, second)
        places = self._find(keys)
        new = np.flatnonzero(places < 0)
        if len(new):
            fresh, which = _distinct(keys[new])
            places[new] = self._size + which
            self._append(fresh)
        return places

    def _append(self, keys: Int64) -> None:
        start, self._size = self._size, self._size + len(keys)
        self._keys = room(self._keys, self._size)
        self._keys[start : self._size] = keys
        if 2 * self._size > len(self._slots):
            self._slots = np.full(1 << (4 * self._size - 1).bit_length(), -1, np.int32)
            start = 0
        self._insert(np.arange(start, self._size, dtype=np.int32))

    def _insert(self, places: Int32) -> None:
        slots, slot = self._slots, self._slot(self._keys[places])
        while len(places):
            free = slots[slot] < 0
            slots[slot[free]] = places[free]  # of several that want one slot the last gets it
            left = slots[slot] != places
            places, slot = places[left], (slot[left] + 1) & (len(slots) - 1)

    def _find(self, keys: Int64) -> Int32:
        slots, slot = self._slots, self._slot(keys)
        places = slots[slot]
        if not self._size:
            return places
        open_ = np.flatnonzero((places >= 0) & (self._keys[places] != keys))
        while len(open_):
            slot[open_] = (slot[open_] + 1) & (len(slots) - 1)
            places[open_] = found = slots[slot[open_]]
            open_ = open_[(found >= 0) & (self._keys[found] != keys[open_])]
        return places

    def _slot(self, keys: Int64) -> Int64:
        bits = len(self._slots).bit_length() - 1
        return ((keys.view(np.uint64) * _MIX) >> np.uint64(64 - bits)).astype(np.int64)


def _distinct(keys: Int64) -> tuple[Int64, Int64]:
    """The different keys, and for each of ``keys`` which of them it is."""
    if (keys[1:] > keys[:-1]).all():
        return keys, np.arange(len(keys))
    return np.unique(keys, return_inverse=True)


def pair_keys(first: Places, second: Places) -> Int64:
    """Two codes in one number, in the order of the first, then of the second."""
    return (first.astype(np.int64) << 32) | second.astype(np.int64)
