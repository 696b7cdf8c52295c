"""Postgres: connections, a lock that one holds alone, and Parquet files into tables by COPY."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from psycopg import Connection, sql

from pipelines.core.columns import UTC_US
from pipelines.core.errors import ServiceError
from pipelines.settings import Settings

TYPES: Final = {
    pa.string(): "text",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    UTC_US: "timestamp with time zone",
    pa.list_(pa.string()): "text[]",
}
"""Arrow type -> Postgres type, as Postgres itself names it."""

KEPT_ALIVE: Final[dict[str, Any]] = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 120_000,
}
"""A server that is lost without a word is noticed: within a minute by who waits for it, within two by who sends
(seconds, but the last one milliseconds). It ends a COPY as well that the server doesn't take from for so long."""
LOG: Final = Path("logs/postgres.log")
"""Of the embedded server."""
NO_SPACE: Final = "No space left on device"

log = logging.getLogger(__name__)


@contextmanager
def connect(settings: Settings) -> Iterator[Connection]:
    """A connection whose transaction commits at the end of the block, or rolls back on an error.

    Raises:
        ServiceError: the server doesn't answer, refuses, or goes away in the middle.
    """
    output = settings.root / LOG
    began = output.stat().st_size if output.exists() else 0
    try:
        with psycopg.connect(settings.postgres_conninfo, connect_timeout=10, **KEPT_ALIVE) as connection:
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


@contextmanager
def alone(connection: Connection, name: str, *, wait: bool) -> Iterator[None]:
    """Hold the lock ``name`` of this database, which one connection has at a time; it goes with the connection.

    Commits what the connection did before.

    Raises:
        ServiceError: another one holds it, and it isn't to be waited for.
    """
    (free,) = connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name]).fetchone() or (False,)
    if not free:
        holder = _holder(connection, name)
        if not wait:
            raise ServiceError(f"{holder}: run this again when it is done")
        log.info("waiting: %s", holder)
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
    connection.commit()
    try:
        yield
    finally:
        if not connection.broken:
            connection.rollback()
            connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
            connection.commit()


def _holder(connection: Connection, name: str) -> str:
    found = connection.execute(
        "SELECT pid, date_trunc('second', backend_start) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND objid = (hashtext(%s)::bigint & 4294967295)::oid AND granted "
        "AND datname = current_database()",
        [name],
    ).fetchone()
    who = f" (Postgres process {found[0]}, since {found[1]:%Y-%m-%d %H:%M:%S %Z})" if found else ""
    return f"another {name} is under way{who}"


def create_table(connection: Connection, table: sql.Composable, schema: pa.Schema) -> None:
    """Create a table with the columns of ``schema``; those that can't be null are so in the table."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}{}").format(
            sql.Identifier(field.name), sql.SQL(TYPES[field.type]), sql.SQL("" if field.nullable else " NOT NULL")
        )
        for field in schema
    )
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))


def columns_of(connection: Connection, schema: str, table: str) -> list[tuple[str, str]]:
    """(name, type) of each column of a table in order; empty where there is no such table."""
    rows = connection.execute(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [schema, table],
    )
    return [(str(name), str(kind)) for name, kind in rows.fetchall()]


def copy_in(connection: Connection, table: sql.Composable, batches: Iterable[pa.RecordBatch], freeze: bool) -> None:
    """Append the rows of ``batches``, whose columns are the table's in order.

    ``freeze``: the table was made in this transaction; its rows then need no later pass of vacuum.
    """
    options = sql.SQL("FORMAT csv, FREEZE" if freeze else "FORMAT csv")
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN ({})").format(table, options)) as copy:
        for batch in batches:
            copy.write(_csv(batch))


def _csv(batch: pa.RecordBatch) -> pa.Buffer:
    """Text that COPY reads: an empty text is ``""``, a missing value nothing, a list ``{"a","b"}``."""
    columns = [_array_text(c) if pa.types.is_list(c.type) else c for c in batch.columns]
    sink = pa.BufferOutputStream()
    plain = pa.record_batch(columns, names=batch.schema.names)
    pa_csv.write_csv(plain, sink, pa_csv.WriteOptions(include_header=False))
    return sink.getvalue()


def _array_text(lists: pa.ListArray) -> pa.StringArray:
    """Postgres' text of arrays of texts."""
    texts = lists.flatten()
    escaped = pc.replace_substring_regex(texts, r'(["\\])', r"\\\1")
    quoted = pc.fill_null(pc.binary_join_element_wise('"', escaped, '"', ""), "NULL")
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pc.cumulative_sum(lengths.cast(pa.int32()))
    again = pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), offsets]), quoted)
    joined = pc.binary_join_element_wise("{", pc.binary_join(again, ","), "}", "")
    return pc.if_else(lists.is_valid(), joined, pa.scalar(None, pa.string()))
