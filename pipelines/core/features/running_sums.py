"""Counts and sums of money of each entity over windows and all time."""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.features.day_events import Int32, Int64
from pipelines.core.features.growing import room

T = TypeVar("T", bound=np.generic)

SPANS: Final = (7, 30, None)
"""Windows in days, and all time. The window of one day is the day itself and needs no memory."""

DAY_S: Final = 86_400
"""Seconds of a day."""

NEVER: Final = -(1 << 62)
"""Epoch seconds of the last event of an entity that has none."""


@dataclass
class RunningSums:
    """A row for each entity: 12 bytes a count, 24 a sum of money, and 8 for the last event.

    What is known of an entity lies together in memory: the entities of a day are read and written at once, as columns.
    """

    counts: Int32
    """[entity, span, column]."""
    money: Int64
    """[entity, span, column]."""
    last: Int64
    """Epoch seconds of the last event: [entity]."""

    @classmethod
    def empty(cls, counts: int, money: int) -> "RunningSums":
        """For entities with as many counts and sums of money."""
        spans = len(SPANS)
        return cls(np.empty((0, spans, counts), np.int32), np.empty((0, spans, money), np.int64), np.empty(0, np.int64))

    def grow(self, places: int) -> None:
        """Make room for entities up to ``places``."""
        self.counts, self.money = room(self.counts, places), room(self.money, places)
        self.last = room(self.last, places, fill=NEVER)


def columns(rows: NDArray[T], places: Int64, out: NDArray[T]) -> None:
    """Copy the rows at ``places`` to ``out``: [span, column, entity]."""
    if out.size:
        out.reshape(-1, len(places))[:] = rows.take(places, axis=0).reshape(len(places), -1).T


def put_columns(rows: NDArray[T], places: Int64, values: NDArray[T]) -> None:
    """Copy ``values`` ([span, column, entity]) to the rows at ``places``."""
    if values.size:
        flat = np.ascontiguousarray(values.reshape(-1, len(places)).T)
        row = np.dtype((np.void, flat.itemsize * flat.shape[1]))  # moved as one piece: several times as fast
        rows.reshape(len(rows), -1).view(row)[places, 0] = flat.view(row)[:, 0]
