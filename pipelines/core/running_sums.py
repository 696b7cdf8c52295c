"""Counts and sums of money of each entity over windows and all time."""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.day_events import Int32, Int64
from pipelines.core.day_sums import Group
from pipelines.core.growing import room

T = TypeVar("T", bound=np.generic)

SPANS: Final = (7, 30, None)
"""Windows in days, and all time. The window of one day is the day itself and needs no memory."""

DAY_S: Final = 86_400
"""Seconds of a day."""

NEVER: Final = -(1 << 62)
"""Epoch seconds of the last event of an entity that has none."""


class RunningSums:
    """Arrays with a column for each count, sum and span, and an entity a place.

    An entity takes 12 bytes a count, 24 a sum of money, and 8 for its last event.
    """

    def __init__(self, counts: Int32, money: Int64, last: Int64) -> None:
        self.counts, self.money, self.last = counts, money, last

    @classmethod
    def empty(cls, counts: int, money: int) -> "RunningSums":
        """For entities with as many counts and sums of money."""
        spans = len(SPANS)
        return cls(np.empty((spans, counts, 0), np.int32), np.empty((spans, money, 0), np.int64), np.empty(0, np.int64))

    def grow(self, places: int) -> None:
        """Make room for entities up to ``places``."""
        self.counts, self.money = room(self.counts, places), room(self.money, places)
        self.last = room(self.last, places, fill=NEVER)

    def add(self, group: Group, spans: Sequence[int], sign: int = 1) -> None:
        """Add a day's sums of some entities (or subtract them) in these spans (places in SPANS)."""
        for sums, changes in ((self.counts, group.counts), (self.money, group.money)):
            for column in range(sums.shape[1]):
                some = np.flatnonzero(changes[column])
                places, change = group.places[some], sign * changes[column, some]
                for span in spans:
                    sums[span, column][places] += change


def take(sums: NDArray[T], places: NDArray[np.int64], out: NDArray[T] | None = None) -> NDArray[T]:
    """Some entities of [span, column, entity]."""
    taken = np.empty((*sums.shape[:-1], len(places)), sums.dtype) if out is None else out
    for span, span_taken in zip(sums, taken, strict=True):
        for column, column_taken in zip(span, span_taken, strict=True):
            column.take(places, out=column_taken, mode="clip")  # other modes go by a copy
    return taken
