"""The validated events in pieces that fit in memory: whole days, and stretches of a day that is too large."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.core.columns import Col
from pipelines.core.lake.repeats import MINUTE

CODED: Final = [Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE, Col.DEVICE]
"""Columns that come as dictionaries, one for the whole piece: they are read, compared and joined as small integers."""
SECOND: Final = 1_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Day:
    """One day (UTC) of the validated events."""

    date: date
    path: Path
    rows: int

    @property
    def start(self) -> datetime:
        """The midnight that it begins with."""
        return datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)


@dataclass(frozen=True)
class Piece:
    """Events of [start, end) by time and event id; ``CODED`` columns are dictionaries."""

    start: datetime
    end: datetime
    rows: pa.Table

    def codes(self, column: str) -> pa.ChunkedArray:
        """int32: each row's place in the column's dictionary."""
        return pa.chunked_array([chunk.indices for chunk in self.rows[column].chunks], pa.int32())

    def text(self, column: str) -> pa.ChunkedArray:
        """The column's values themselves."""
        return self.rows[column].cast(pa.string())

    def names(self, column: str) -> pa.Array:
        """The column's dictionary."""
        chunks = self.rows[column].chunks
        return chunks[0].dictionary if chunks else pa.array([], pa.string())

    def are(self, column: str, values: Sequence[str]) -> pa.Array:
        """bool: which rows have one of ``values`` in the column."""
        found = pc.is_in(self.names(column), pa.array(values))
        return found.take(self.codes(column).combine_chunks())

    def seconds(self) -> pa.ChunkedArray:
        """int64: whole seconds since 1970 (UTC) of each row."""
        return _seconds(self.rows)


def days(folder: Path) -> list[Day]:
    """The days of ``folder/date=YYYY-MM-DD/part-0.parquet``, in order."""
    parts = sorted(folder.glob("date=*/part-0.parquet"))
    return [
        Day(date.fromisoformat(path.parent.name.removeprefix("date=")), path, pq.read_metadata(path).num_rows)
        for path in parts
    ]


def groups(days: Sequence[Day], most: int) -> Iterator[list[Day]]:
    """Consecutive days of at most ``most`` rows together; a larger day stands alone."""
    group: list[Day] = []
    for day in days:
        if group and sum(d.rows for d in group) + day.rows > most:
            yield group
            group = []
        group.append(day)
    if group:
        yield group


def whole(group: Sequence[Day], columns: Sequence[str]) -> Piece:
    """Some columns of all events of ``group``."""
    rows = pa.concat_tables([_read(day.path, columns) for day in group])
    return Piece(group[0].start, group[-1].start + timedelta(days=1), rows.unify_dictionaries())


def pieces(group: Sequence[Day], most: int, columns: Sequence[str]) -> Iterator[Piece]:
    """The events of ``group`` in pieces of at most ``most`` rows, cut between minutes (a fuller minute stays whole)."""
    if len(group) > 1 or group[0].rows <= most:
        yield whole(group, columns)
        return
    (day,) = group
    minutes = pc.divide(_seconds(_read(day.path, [Col.TIMESTAMP])), MINUTE).to_numpy()
    cuts = _cuts(minutes, most)
    inner = [datetime.fromtimestamp(int(minutes[at]) * MINUTE, UTC) for at in cuts[1:-1]]
    moments = [day.start, *inner, day.start + timedelta(days=1)]
    for (first, last), (start, end) in zip(pairwise(cuts), pairwise(moments), strict=True):
        yield Piece(start, end, _slice(day.path, columns, first, last).unify_dictionaries())


def _cuts(minutes: NDArray[np.int64], most: int) -> list[int]:
    """Where to cut rows in order of time, the beginning and the end included."""
    cuts = [0]
    while cuts[-1] < len(minutes):
        end = min(cuts[-1] + most, len(minutes))
        if end < len(minutes):
            before = int(np.searchsorted(minutes, minutes[end], "left"))
            end = before if before > cuts[-1] else int(np.searchsorted(minutes, minutes[end], "right"))
        cuts.append(end)
    return cuts


def _slice(path: Path, columns: Sequence[str], first: int, last: int) -> pa.Table:
    """The rows of a file from ``first`` up to ``last``; only the row groups that hold them are read."""
    with _open(path, columns) as file:
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        wanted = [n for n in range(len(sizes)) if starts[n] < last and starts[n + 1] > first]
        return file.read_row_groups(wanted, columns).slice(first - int(starts[wanted[0]]), last - first)


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    with _open(path, columns) as file:
        return file.read(columns)


def _open(path: Path, columns: Sequence[str]) -> pq.ParquetFile:
    return pq.ParquetFile(path, read_dictionary=[name for name in CODED if name in columns])


def _seconds(rows: pa.Table) -> pa.ChunkedArray:
    return pc.divide(rows[Col.TIMESTAMP].cast(pa.int64()), SECOND)
