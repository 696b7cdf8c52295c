"""Export the prepared interactions to a CSV or Parquet file."""

import argparse
import gzip
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from pipelines.context import Context
from pipelines.core.columns import PREPARED_SCHEMA, UTC_US, Col
from pipelines.core.errors import ConfigError, InputError
from pipelines.io import files, tables
from pipelines.io.preparation.events import INTERACTIONS

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the file, the days and the columns."""
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help=".csv, .csv.gz or .parquet")
    parser.add_argument("--since", type=day, metavar="DAY", help="the first day, YYYY-MM-DD (UTC)")
    parser.add_argument("--until", type=day, metavar="DAY", help="the day after the last one")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="these columns, in this order (default: all)")


def run(context: Context) -> None:
    """Write the chosen rows in their order, a row group at a time; the file is whole or not there.

    Raises:
        ConfigError: the file's ending or a column is unknown.
        InputError: nothing has been prepared.
    """
    started = time.monotonic()
    args, path = context.args, context.root / INTERACTIONS
    columns = args.columns or PREPARED_SCHEMA.names
    if unknown := [name for name in columns if name not in PREPARED_SCHEMA.names]:
        raise ConfigError(f"no column {', '.join(unknown)}: there are {', '.join(PREPARED_SCHEMA.names)}")
    write = _writer(args.out)
    if not path.exists():
        raise InputError(f"{path} is missing: run `python -m pipelines prepare`")
    schema = pa.schema([PREPARED_SCHEMA.field(name) for name in columns])
    rows = write(args.out, _rows(path, columns, args.since, args.until), schema)
    log.info("%s: %d interactions, %.1f s", args.out, rows, time.monotonic() - started)


def day(text: str) -> datetime:
    """A midnight (UTC) from YYYY-MM-DD."""
    found = date.fromisoformat(text)
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def _rows(path: Path, columns: list[str], since: datetime | None, until: datetime | None) -> Iterator[pa.Table]:
    """The rows of [since, until); row groups outside aren't read."""
    with pq.ParquetFile(path) as file:
        at = file.schema_arrow.get_field_index(Col.TIMESTAMP)
        for number in range(file.num_row_groups):
            times = file.metadata.row_group(number).column(at).statistics
            if (since and times.max < since) or (until and times.min >= until):
                continue
            rows = file.read_row_group(number, [*dict.fromkeys([*columns, Col.TIMESTAMP])])
            if since:
                rows = rows.filter(pc.greater_equal(rows[Col.TIMESTAMP], pa.scalar(since, UTC_US)))
            if until:
                rows = rows.filter(pc.less(rows[Col.TIMESTAMP], pa.scalar(until, UTC_US)))
            yield rows.select(columns)


Write = Callable[[Path, Iterator[pa.Table], pa.Schema], int]


def _writer(out: Path) -> Write:
    if out.name.endswith(".parquet"):
        return tables.write
    if out.name.endswith((".csv", ".csv.gz")):
        return _write_csv
    raise ConfigError(f"{out}: the file's name must end in .csv, .csv.gz or .parquet")


def _write_csv(out: Path, rows: Iterator[pa.Table], schema: pa.Schema) -> int:
    """Write CSV in UTF-8 with a header; times are ISO 8601 in UTC, as 2026-01-31T23:59:59.000000Z; null is empty."""
    total = 0
    written = pa.schema([pa.field(f.name, pa.string() if f.type == UTC_US else f.type) for f in schema])
    with files.replacing(out) as temporary, _opened(temporary, out) as sink, pc_csv.CSVWriter(sink, written) as writer:
        for table in rows:
            writer.write_table(_with_text_times(table).cast(written))
            total += len(table)
    return total


@contextmanager
def _opened(path: Path, named: Path) -> Iterator[Any]:
    """``path`` to write to; compressed, without a time in it, where the file is ``named`` so."""
    with path.open("wb") as plain:
        if named.name.endswith(".gz"):
            with gzip.GzipFile("", "wb", compresslevel=5, fileobj=plain, mtime=0) as packed:
                yield packed
        else:
            yield plain


def _with_text_times(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if field.type == UTC_US:
            text = pc.strftime(table[field.name], format="%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(place, field.name, text)
    return table
