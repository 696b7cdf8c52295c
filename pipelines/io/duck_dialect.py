"""DuckDB behind SQLAlchemy, as far as reading needs it: what lets Great Expectations run where the data is.

Great Expectations returns a result after its connection went back to the pool, and DuckDB forgets an open result when
its connection is used again. So a cursor here fetches everything at once, and there are no transactions.
"""

from collections.abc import Sequence
from typing import Any, Final

import duckdb
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGDialect

URL: Final = "duckdb+reading:///"
"""Before the name of a database that ``duckdb.connect`` knows."""

_TYPES: Final[dict[str, Any]] = {
    "VARCHAR": sa.VARCHAR(),
    "BIGINT": sa.BIGINT(),
    "DOUBLE": sa.DOUBLE(),
    "BOOLEAN": sa.BOOLEAN(),
    "TIMESTAMP WITH TIME ZONE": sa.TIMESTAMP(timezone=True),
}


def register() -> None:
    """Make ``URL`` known to SQLAlchemy."""
    registry.register("duckdb.reading", __name__, "Dialect")


class _Cursor:
    """A DB-API cursor that holds the rows of its last statement."""

    rowcount = -1
    lastrowid = None

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> None:
        done = self._connection.execute(statement, list(parameters or []))
        self.description = done.description
        self._rows = done.fetchall()

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[Any]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken

    def fetchall(self) -> list[Any]:
        return self.fetchmany(len(self._rows))

    def close(self) -> None:
        self._rows = []


class _Connection:
    """A DB-API connection without transactions."""

    def __init__(self, database: str) -> None:
        self._connection = duckdb.connect(database)

    def cursor(self) -> _Cursor:
        return _Cursor(self._connection)

    def commit(self) -> None:
        """There is nothing to keep."""

    def rollback(self) -> None:
        """There is nothing to take back."""

    def close(self) -> None:
        self._connection.close()


class _Driver:
    """What SQLAlchemy asks of a DB-API module."""

    apilevel = "2.0"
    paramstyle = "numeric_dollar"
    threadsafety = 1
    Error = duckdb.Error


class Dialect(PGDialect):
    """DuckDB's SQL, which is near enough to that of Postgres; DuckDB describes its own tables."""

    name = "duckdb"
    driver = "reading"
    supports_statement_cache = True
    default_schema_name = "main"

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the driver."""
        return _Driver

    def create_connect_args(self, url: sa.URL) -> Any:
        """Return the arguments of ``connect``."""
        return [url.database], {}

    def connect(self, *arguments: Any, **_: Any) -> Any:
        """Open the database."""
        return _Connection(*arguments)

    def initialize(self, connection: Any) -> None:
        """Ask the database nothing."""

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> bool:
        """Whether there is a table or view of this name."""
        found = connection.exec_driver_sql("select 1 from duckdb_columns() where table_name = $1", (table_name,))
        return found.first() is not None

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        """Name and type of each column; types beyond those of our schemas are unknown ones."""
        asked = "select column_name, data_type, is_nullable from duckdb_columns() where table_name = $1"
        return [
            {"name": name, "type": _TYPES.get(kind, sa.types.NullType()), "nullable": nullable, "default": None}
            for name, kind, nullable in connection.exec_driver_sql(f"{asked} order by column_index", (table_name,))
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        """A view has no key."""
        return {"constrained_columns": [], "name": None}
