"""Records of CSV and Parquet files as text, each with its line, in bounded memory. No line is ever lost.

A line that can't be split into the header's fields comes out with its text instead of fields. The line of a record
whose quoted field holds line breaks is that of its first line; of a Parquet file, the row counts from 1.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.errors import DataQualityError, InputError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io.intake import csv_records
from pipelines.io.intake.record_tables import UNREADABLE, Block, record_table


def blocks(path: Path, mapping: SourceMapping) -> Iterator[Block]:
    """A file's records block by block: ``line``, ``text`` and the file's columns, prefixed, all as text.

    Blocks come in order, and so do a block's records but for those that can't be split, which come last. Whoever calls
    a block does the parsing.

    Raises:
        DataQualityError: the file has no header, names a column twice or lacks one that the mapping requires.
        InputError: the file is not what its name says.
    """
    names = check_header(path, mapping)
    try:
        if path.suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            yield from csv_records.read(path, names, mapping)
    except UNREADABLE as error:
        raise InputError(f"{path} can't be read: {error}") from None


def check_header(path: Path, mapping: SourceMapping) -> list[str]:
    """The names of a file's columns.

    Raises:
        DataQualityError: there is no header, a column is named twice or one that the mapping requires is missing.
        InputError: the file is not what its name says.
    """
    try:
        names = pq.read_schema(path).names if path.suffix == ".parquet" else csv_records.header(path, mapping)
    except UNREADABLE as error:
        raise InputError(f"{path} can't be read: {error}") from None
    twice = {name for name in names if [n.lower() for n in names].count(name.lower()) > 1}
    if twice:
        raise DataQualityError(f"{path}: column {sorted(twice)[0]!r} is named twice (case doesn't count)")
    missing = [name for name in mapping.required if name not in names]
    if missing:
        raise DataQualityError(
            f"{path}: column {missing[0]!r} is missing; the header has {', '.join(names) or 'nothing'}. "
            f"Source mapping {mapping.name!r} says which columns it needs"
        )
    return names


def _read_parquet(path: Path) -> Iterator[Block]:
    line = 1
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1 << 17):
        yield partial(_from_batch, batch, line)
        line += len(batch)


def _from_batch(batch: pa.RecordBatch, line: int) -> pa.Table:
    columns = {name: _as_text(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    return record_table(np.arange(line, line + len(batch)), None, columns)


def _as_text(column: pa.Array) -> pa.Array:
    """A column as text; times as ISO 8601, with Z where they know their zone."""
    if pa.types.is_timestamp(column.type) and column.type.tz:
        naive = pc.local_timestamp(column.cast(pa.timestamp(column.type.unit, "UTC")))
        return pc.binary_join_element_wise(naive.cast(pa.string()), "Z", "")
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # nested values, or bytes that are no text
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
