"""Rows between assessment and lake: by file on their way in, by day on their way out, in bounded memory."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
from numpy.typing import NDArray

from pipelines.core.columns import Col
from pipelines.core.lake.duplicates import KEY, repeated
from pipelines.io.parallel import ordered

DAY_US: Final = 86_400_000_000
_OPTIONS: Final = ipc.IpcWriteOptions(compression="lz4")
_IDS_A_BUCKET: Final = 1 << 21


class FileBatches:
    """Batches in Arrow files, one for each raw file; raw files come one after another."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._writer: Any = None
        self.paths: dict[int, Path] = {}
        self.written = 0
        """Batches of the newest file."""

    def add(self, file: int, rows: pa.Table) -> None:
        """Add a batch to a file."""
        if file not in self.paths:
            self.close()
            self.paths[file] = self._folder / f"{file:06d}.arrow"
            self._writer = ipc.new_file(str(self.paths[file]), rows.schema, options=_OPTIONS)
            self.written = 0
        for batch in rows.combine_chunks().to_batches():
            self._writer.write_batch(batch)
            self.written += 1

    def close(self) -> None:
        """End the file that is being written; only then it can be read."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def open(self, file: int) -> ipc.RecordBatchFileReader:
        """A reader of a file's batches; any thread may have its own."""
        return ipc.open_file(pa.memory_map(str(self.paths[file])))


class Days:
    """Rows by the day (UTC) of their time: they come file by file, and are read day by day."""

    def __init__(self, folder: Path) -> None:
        self._files = FileBatches(folder)
        self._batches: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._rows: dict[int, int] = defaultdict(int)

    def add(self, file: int, rows: pa.Table) -> None:
        """Add rows of a file; files come one after another."""
        for day, part in _by_day(rows):
            self._files.add(file, part)
            self._batches[day].append((file, self._files.written - 1))
            self._rows[day] += len(part)

    def close(self) -> None:
        """End writing; only then the days can be read."""
        self._files.close()

    def days(self) -> list[int]:
        """The days that have rows, since 1970, in order."""
        return sorted(self._batches)

    def read(self, day: int, most: int) -> Iterator[pa.Table]:
        """A day's rows by time in tables of about ``most`` rows at the most (unless more share a moment)."""
        slices = -(-self._rows[day] // most)
        edges = np.linspace(day * DAY_US, (day + 1) * DAY_US, slices + 1).astype(np.int64)
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            parts = list(self._parts(day))
            if slices > 1:
                parts = [_between(part, start, end) for part in parts]
            yield pa.concat_tables(parts)

    def _parts(self, day: int) -> Iterator[pa.Table]:
        for file, batches in groupby(self._batches[day], key=lambda pair: pair[0]):
            reader = self._files.open(file)
            yield from (pa.Table.from_batches([reader.get_batch(number)]) for _, number in batches)


def _by_day(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    if not len(rows):
        return
    days = rows[Col.TIMESTAMP].cast(pa.int64()).to_numpy() // DAY_US
    if np.any(np.diff(days) < 0):
        order = np.argsort(days, kind="stable")
        rows, days = rows.take(order), days[order]
    starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(days)], strict=True):
        yield int(days[start]), rows.slice(start, end - start)


def _between(rows: pa.Table, start: int, end: int) -> pa.Table:
    at = rows[Col.TIMESTAMP].cast(pa.int64())
    return rows.filter(pc.and_(pc.greater_equal(at, start), pc.less(at, end)))


class EventIds:
    """The ids of all good rows, on disk in buckets that fit into memory."""

    def __init__(self, folder: Path, rows: int) -> None:
        """Prepare for about ``rows`` ids."""
        self._bits = max(0, (rows // _IDS_A_BUCKET).bit_length())
        folder.mkdir(parents=True)
        self._files = [(folder / f"{bucket:06d}").open("w+b") for bucket in range(1 << self._bits)]

    def add(self, keys: NDArray[np.void]) -> None:
        """Add ids of dtype ``KEY``."""
        bucket = (keys["low"] & np.uint64(len(self._files) - 1)).astype(np.uint16)  # which a radix sort takes
        order = np.argsort(bucket, kind="stable")
        ends = np.searchsorted(bucket[order], np.arange(len(self._files) + 1))
        for number, file in enumerate(self._files):
            file.write(keys[order[ends[number] : ends[number + 1]]].tobytes())

    def repeated(self) -> NDArray[np.int64]:
        """The places of the rows whose id an earlier row has, sorted; closes the buckets."""
        return np.sort(np.concatenate(list(ordered(partial(_repeated, file) for file in self._files))))


def _repeated(bucket: IO[bytes]) -> NDArray[np.int64]:
    with bucket:
        bucket.seek(0)
        return repeated(np.frombuffer(bucket.read(), KEY))
