"""Parquet files whose bytes depend on nothing but their rows."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.columns import Col
from pipelines.io import files

ROW_GROUP: Final = 1 << 17
VARIED: Final = (Col.EVENT_ID, Col.SESSION_ID, Col.TIMESTAMP)
"""Columns for which a dictionary would be a waste of time and room."""
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


def _write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write in row groups of one size, however the rows are cut on their way here."""
    total = 0
    repeating = [name for name in schema.names if name not in VARIED]
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating) as writer:
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


def utc(text: str) -> datetime:
    """A moment from ISO 8601; UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
