"""What a day's rows are, in a few digits: equal exactly where they are the same rows in the same order."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_DAY_US: Final = 86_400_000_000


class DayDigests:
    """Digests of the days (UTC) of rows that come in the order of ``time``.

    They don't depend on how the rows are cut into tables, chunks and dictionaries.
    """

    def __init__(self, time: str, columns: Sequence[str]) -> None:
        """Read ``columns``; ``time`` is the column that says which day a row is of."""
        self._time, self._columns = time, columns
        self._hashes: dict[int, dict[str, Any]] = {}

    def through(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, read on their way."""
        for table in tables:
            self.add(table)
            yield table

    def add(self, rows: pa.Table) -> None:
        """Read some more rows."""
        days = rows[self._time].cast(pa.int64()).to_numpy() // _DAY_US
        cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)] if len(days) else []
        for name in self._columns:
            column = _plain(rows[name])
            for start, end in pairwise(cuts):
                hashes = self._hashes.setdefault(int(days[start]), {})
                _update(hashes.setdefault(name, _Hashes()), column.slice(start, end - start))

    def digests(self) -> dict[str, str]:
        """Date (ISO) -> digest of the rows so far."""
        found = {}
        for day, hashes in sorted(self._hashes.items()):
            whole = b"".join(hashes[name].digest() for name in self._columns)
            found[datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()] = hashlib.sha256(whole).hexdigest()[:32]
        return found


class _Hashes:
    """Running hashes of one column: which values are missing, their lengths, and what they are."""

    def __init__(self) -> None:
        self.missing, self.lengths, self.values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def digest(self) -> bytes:
        return self.missing.digest() + self.lengths.digest() + self.values.digest()


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """One array without a dictionary."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks()


def _update(hashes: _Hashes, values: pa.Array) -> None:
    if values.null_count:
        hashes.missing.update(_bytes(pc.is_null(values).to_numpy(zero_copy_only=False)))
        values = values.drop_null()
    else:
        hashes.missing.update(_bytes(np.zeros(len(values), np.bool_)))
    if pa.types.is_string(values.type):
        offsets = np.frombuffer(values.buffers()[1], np.int32, len(values) + 1, values.offset * 4)
        hashes.lengths.update(_bytes(np.diff(offsets)))
        data = values.buffers()[2]
        if data is not None:
            hashes.values.update(data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])))
    else:
        hashes.values.update(_bytes(values.to_numpy(zero_copy_only=False)))


def _bytes(values: np.ndarray) -> memoryview:
    return values.view(np.uint8).data
