"""Postgres: connections, and tables that are replaced whole from Parquet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from psycopg import Connection, sql

from pipelines.core.columns import UTC_US
from pipelines.core.errors import ServiceError
from pipelines.settings import Settings

TYPES: Final = {
    pa.string(): "text",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    UTC_US: "timestamptz",
}

LOG: Final = Path("logs/postgres.log")
"""Of the embedded server."""
NO_SPACE: Final = "No space left on device"
BATCH: Final = 65_536


@dataclass(frozen=True)
class Load:
    """What a table is made of: Parquet files of one schema, and the columns that make a row unique, as SQL terms."""

    files: Sequence[Path]
    unique: Sequence[str]


@contextmanager
def connect(settings: Settings) -> Iterator[Connection]:
    """A connection whose transaction commits at the end of the block, or rolls back on an error.

    Raises:
        ServiceError: the server doesn't answer, refuses, or goes away in the middle.
    """
    output = settings.root / LOG
    began = output.stat().st_size if output.exists() else 0
    try:
        with psycopg.connect(settings.postgres_conninfo, connect_timeout=10) as connection:
            yield connection
    except psycopg.OperationalError as error:
        where = f"{settings.postgres_host}:{settings.postgres_port}/{settings.postgres_db}"
        raise ServiceError(
            f"Postgres at {where}: {_disk_full(output, began) or ' '.join(str(error).split())}"
        ) from None


def _disk_full(output: Path, began: int) -> str:
    """What Postgres says of a full disk once it no longer answers: only its log knows."""
    if not output.exists():
        return ""
    with output.open("rb") as file:
        file.seek(began)
        return NO_SPACE if NO_SPACE.encode() in file.read() else ""


def replace_tables(connection: Connection, schema: str, loads: Mapping[str, Load]) -> dict[str, int]:
    """Replace each table of ``schema`` by the rows of its files; readers see all old tables or all new ones.

    Returns: table -> rows.

    Raises:
        ServiceError: two rows have the same unique columns, or another object holds on to an old table.
    """
    rows = {}
    try:
        # one at a time: two loads would wait for each other's locks
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"replace_tables.{schema}"])
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        for name, load in loads.items():
            rows[name] = _load(connection, schema, name, load)
        for name in loads:
            _swap(connection, schema, name)
    except (psycopg.errors.UniqueViolation, psycopg.errors.DependentObjectsStillExist) as error:
        raise ServiceError(f"Postgres schema {schema}: {str(error).strip()}") from None
    return rows


def _load(connection: Connection, schema: str, name: str, load: Load) -> int:
    """Make ``<name>__new`` with its index ``<name>__new_key``; return its rows."""
    table = sql.Identifier(schema, f"{name}__new")
    fields = pq.read_schema(load.files[0])
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(TYPES[field.type])) for field in fields
    )
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))
    rows = 0
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT csv, FREEZE)").format(table)) as copy:
        for path in load.files:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH):
                    copy.write(_csv(batch))
                    rows += batch.num_rows
    unique = sql.SQL(", ").join(sql.SQL(term) for term in load.unique)
    key = sql.Identifier(f"{name}__new_key")
    connection.execute(sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(key, table, unique))
    connection.execute(sql.SQL("ANALYZE {}").format(table))
    return rows


def _csv(batch: pa.RecordBatch) -> pa.Buffer:
    """Text that COPY reads: an empty text is ``""``, a missing value nothing."""
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(batch, sink, pa_csv.WriteOptions(include_header=False))
    return sink.getvalue()


def _swap(connection: Connection, schema: str, name: str) -> None:
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema, name)))
    for kind, suffix in (("TABLE", ""), ("INDEX", "_key")):
        new, plain = sql.Identifier(schema, f"{name}__new{suffix}"), sql.Identifier(f"{name}{suffix}")
        connection.execute(sql.SQL("ALTER {} {} RENAME TO {}").format(sql.SQL(kind), new, plain))
