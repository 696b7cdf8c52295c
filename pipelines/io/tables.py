"""Parquet files whose bytes depend on nothing but their rows."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.columns import Col
from pipelines.io import files

ROW_GROUP: Final = 1 << 17
_BATCH: Final = 1 << 16


def batches(table: Any, schema: pa.Schema | None = None) -> Iterator[pa.Table]:
    """Execute an Ibis table on its DuckDB and yield its rows in order as tables of ``schema``."""
    backend = table.get_backend()
    for batch in backend.con.sql(backend.compile(table)).to_arrow_reader(_BATCH):
        rows = pa.Table.from_batches([batch])
        yield rows if schema is None else rows.select(schema.names).cast(schema)


def write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write ``tables`` one after another to one Parquet file, whole or not at all; returns the rows."""
    with files.replacing(path) as temporary:
        return _write(temporary, tables, schema)


def write_by_day(folder: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write rows that come in order of ``timestamp`` to ``folder/date=YYYY-MM-DD/part-0.parquet``; returns the rows.

    The days are those of UTC. An older folder is replaced whole.
    """
    total = 0
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        for day, rows in _days(tables):
            part = temporary / f"date={day}" / "part-0.parquet"
            part.parent.mkdir()
            total += _write(part, rows, schema)
    return total


def _write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write in row groups of one size, however the rows are cut on their way here."""
    total = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting: list[pa.Table] = []
        for table in tables:
            total += len(table)
            waiting.append(table)
            while sum(map(len, waiting)) >= ROW_GROUP:
                rows = pa.concat_tables(waiting)
                writer.write_table(rows.slice(0, ROW_GROUP).combine_chunks(), row_group_size=ROW_GROUP)
                waiting = [rows.slice(ROW_GROUP)]
        if rest := [table for table in waiting if len(table)]:
            writer.write_table(pa.concat_tables(rest).combine_chunks(), row_group_size=ROW_GROUP)
    return total


def _days(tables: Iterable[pa.Table]) -> Iterator[tuple[str, list[pa.Table]]]:
    """Gather rows in order of time by their day."""
    current: str | None = None
    rows: list[pa.Table] = []
    for table in tables:
        days = pc.strftime(table[Col.TIMESTAMP], format="%Y-%m-%d")
        counts = pc.value_counts(days.combine_chunks()).to_pylist()
        start = 0
        for entry in counts:  # in order of first appearance, so in order of time
            if current is not None and entry["values"] != current:
                yield current, rows
                rows = []
            current = entry["values"]
            rows.append(table.slice(start, entry["counts"]))
            start += entry["counts"]
    if current is not None:
        yield current, rows


def utc(text: str) -> datetime:
    """A moment from ISO 8601; UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
