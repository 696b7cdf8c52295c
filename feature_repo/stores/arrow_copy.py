"""Postgres as Arrow: rows up and down by binary COPY, in one transaction on one snapshot.

ADBC's driver does it in C++: measured against CSV through psycopg and Arrow's CSV reader it takes a third of the CPU,
it streams, and it knows arrays, bytes, nulls and empty texts by their types.
"""

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import adbc_driver_manager
import psycopg
import pyarrow as pa
from adbc_driver_postgresql import dbapi
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs, _get_conninfo
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig
from psycopg import sql
from psycopg.conninfo import make_conninfo

UTC_US: Final = pa.timestamp("us", tz="UTC")
BATCH_BYTES: Final = 4 << 20
# A compiled look-up isn't worth its compilation, however many there are; cursors are read to their end.
SETTINGS: Final = (
    "-c timezone=UTC -c default_transaction_isolation=repeatable\\ read -c jit=off -c cursor_tuple_fraction=1"
)


@contextmanager
def session(config: PostgreSQLConfig, reads: Iterable[str] = ()) -> Iterator["Session"]:
    """A transaction with Feast's connection settings, all of it on one snapshot, in UTC; committed at the end.

    ``reads``: the tables and queries that it will read. Tables are locked before the snapshot is taken: one that is
    swapped for a newer after it would seem empty.

    Raises:
        psycopg.Error: as Feast's own store raises it, by its SQLSTATE.
    """
    with _as_psycopg_errors(), dbapi.connect(_conninfo(config)) as connection:
        postgres = Session(connection)
        if tables := sorted({name for name in reads if not name.startswith("(")}):
            postgres.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
        yield postgres
        connection.commit()


class Session:
    """Statements of one transaction, whose rows are Arrow."""

    def __init__(self, connection: dbapi.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str) -> None:
        """Run a statement that has no rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def describe(self, query: str) -> pa.Schema:
        """The columns of ``query`` without running it; `postgres_type` names their types."""
        with self._connection.cursor() as cursor:
            return cursor.adbc_execute_schema(query)

    def newest_first(self, table: str, timestamp: str, created: str | None) -> str:
        """The order of the table's index. A row without a created timestamp is the oldest of its time.

        To Postgres that is another order than the index's, even of a column that is never null: it would be sorted for.
        """
        if not created:
            return f"{quoted(timestamp)} DESC"
        nulls = "" if self._is_never_null(table, created) else " NULLS LAST"
        return f"{quoted(timestamp)} DESC, {quoted(created)} DESC{nulls}"

    def tables(self, query: str) -> Generator[pa.Table]:
        """The rows of ``query`` in its order, some megabytes at a time; at least one table, which may be empty."""
        with self._connection.cursor(adbc_stmt_kwargs={"adbc.postgresql.batch_size_hint_bytes": BATCH_BYTES}) as cursor:
            cursor.execute(self._readable(query))
            reader = cursor.fetch_record_batch()
            batches = iter(reader)
            yield _bare(next(batches, None) or reader.schema.empty_table())
            yield from map(_bare, batches)

    def table(self, query: str) -> pa.Table:
        """The rows of ``query`` in its order."""
        return pa.concat_tables(self.tables(query))

    def pages(self, query: str, rows: int) -> Generator[pa.Table]:
        """As `tables`, by a cursor, ``rows`` rows at a time: other statements may run between two pages."""
        self.execute(f"DECLARE feast_pages NO SCROLL CURSOR FOR {self._readable(query)}")
        page, first = self._fetch(rows), True
        while first or page.num_rows:
            yield page
            page, first = self._fetch(rows), False
        self.execute("CLOSE feast_pages")

    def upload(
        self, table: str, rows: Iterable[pa.Table], *, schema: str | None = None, temporary: bool = False
    ) -> None:
        """Create ``table`` from ``rows``, its columns typed as the first of them."""
        with self._connection.cursor() as cursor:
            for number, part in enumerate(rows):
                mode = "append" if number else "create"
                cursor.adbc_ingest(table, part, mode, db_schema_name=schema, temporary=temporary)

    @contextmanager
    def uploaded(self, table: str, rows: pa.Table) -> Iterator[None]:
        """Within it ``rows`` are in the temporary table ``table``."""
        self.upload(table, [rows], temporary=True)
        yield
        self.execute(f"DROP TABLE pg_temp.{quoted(table)}")

    def _is_never_null(self, table: str, column: str) -> bool:
        """Whether ``table`` is a table (and not a view or a query) that declares it."""
        if table.startswith("("):
            return False
        name, attribute = (sql.Literal(text).as_string() for text in (table, column))
        declared = f"attrelid = to_regclass({name}) AND attname = {attribute} AND attnotnull"
        return bool(self.table(f"SELECT 1 AS one FROM pg_attribute WHERE {declared}").num_rows)

    def _fetch(self, rows: int) -> pa.Table:
        with self._connection.cursor(adbc_stmt_kwargs={"adbc.postgresql.use_copy": False}) as cursor:
            cursor.execute(f"FETCH {rows} FROM feast_pages")
            return _bare(cursor.fetch_arrow_table())

    def _readable(self, query: str) -> str:
        """``query`` with numbers of any precision as doubles, as Feast has them, and what Arrow hasn't as text."""
        columns = [(quoted(field.name), read_as(field)) for field in self.describe(query)]
        if not any(cast for _, cast in columns):
            return query
        return f"SELECT {', '.join(f'{name}{cast} AS {name}' for name, cast in columns)} FROM ({query}) AS readable"


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def postgres_type(field: pa.Field) -> str:
    """The type of a described column as Postgres names it, such as ``int8``; an array's begins with an underscore."""
    return (field.metadata or {})[b"POSTGRESQL:type"].decode()


def read_as(field: pa.Field) -> str:
    """The SQL cast to read a described column with, empty where Arrow has its type."""
    is_array = pa.types.is_list(field.type)
    if not isinstance(field.type.value_type if is_array else field.type, pa.BaseExtensionType):
        return ""
    return ("::float8" if postgres_type(field).lstrip("_") == "numeric" else "::text") + ("[]" if is_array else "")


def _bare(rows: pa.RecordBatch | pa.Table) -> pa.Table:
    """``rows`` without the driver's notes on their columns."""
    return pa.table(rows.columns, schema=pa.schema([field.remove_metadata() for field in rows.schema]))


def _conninfo(config: PostgreSQLConfig) -> str:
    settings = _get_conn_kwargs(config)
    options = f"{settings.pop('options')} {SETTINGS}"
    return make_conninfo(_get_conninfo(config), **settings, keepalives_idle=config.keepalives_idle, options=options)


@contextmanager
def _as_psycopg_errors() -> Iterator[None]:
    """Raise the driver's errors as Feast's own store would, with Postgres' own words."""
    try:
        yield
    except adbc_driver_manager.Error as error:
        kind = psycopg.errors.lookup(error.sqlstate) if error.sqlstate else psycopg.OperationalError
        raise kind(_said(error)) from error
    except OSError as error:  # so the driver tells of rows that fail after others came
        if "[libpq]" not in str(error):
            raise
        raise psycopg.DatabaseError(_said(error)) from error


def _said(error: Exception) -> str:
    said = re.search(r"(?:ERROR|FATAL): +(.*?)(?:\s+Query was: |\. SQLSTATE: |\Z)", str(error), re.DOTALL)
    return said[1] if said else str(error)
