"""The engine of the heavy table work: Ibis expressions on an embedded DuckDB."""

import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import pyarrow as pa
from ibis.expr.types import Table

_BATCH: Final = 1 << 16


def connect(memory: str = "3GB", threads: int | None = None) -> Any:
    """Return an Ibis backend on a DuckDB in memory, in UTC, that spills to the system's temporary folder.

    Args:
        memory: what DuckDB may use before it spills; buffers outside its control come on top.
        threads: worker threads; all processors where it is None. Results don't depend on it.
    """
    return ibis.duckdb.connect(**options(memory, threads))


class Engine:
    """A DuckDB of its own on which expressions over named tables run; the names are those of ``table``.

    Ibis' own connection can't take Arrow tables that are in memory (ibis 12 on DuckDB 2.0); DuckDB itself can.
    """

    def __init__(self, memory: str = "3GB", threads: int | None = None) -> None:
        self._con = duckdb.connect(config=options(memory, threads))
        self._con.execute("SET timezone = 'UTC'")

    def run(self, expression: Table) -> pa.Table:
        """The rows of ``expression``."""
        return self._con.sql(_sql(expression)).to_arrow_reader(_BATCH).read_all()

    def know(self, name: str, rows: pa.Table) -> None:
        """Let ``name`` stand for rows in memory."""
        self._con.register(name, rows)

    def keep(self, name: str, expression: Table) -> None:
        """Make a table ``name`` of the rows of ``expression``, in place of an older one."""
        self._con.execute(f"CREATE OR REPLACE TABLE {name} AS {_sql(expression)}")

    def read(self, name: str, *paths: Path) -> None:
        """Let ``name`` stand for the rows of Parquet files."""
        listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        self._con.execute(f"CREATE OR REPLACE VIEW {name} AS FROM read_parquet([{listed}], hive_partitioning = false)")


def _sql(expression: Table) -> str:
    return _compiled(expression.op())


@lru_cache(maxsize=64)
def _compiled(operation: Any) -> str:
    """Equal operations compare equal; the expressions around them don't."""
    return str(ibis.to_sql(operation.to_expr(), dialect="duckdb"))


def table(name: str, columns: Any) -> Table:
    """A table to write expressions on: its name and columns (a schema of Arrow or Ibis, or names and types)."""
    schema = ibis.Schema.from_pyarrow(columns) if isinstance(columns, pa.Schema) else ibis.schema(columns)
    return ibis.table({column: kind(nullable=True) for column, kind in schema.items()}, name)


def options(memory: str, threads: int | None = None) -> dict[str, Any]:
    """DuckDB's configuration: its memory and threads (all processors where it is None), and where it spills."""
    return {
        "memory_limit": memory,
        "threads": threads or len(os.sched_getaffinity(0)),
        "temp_directory": f"{tempfile.gettempdir()}/recomart-duckdb-{os.getpid()}",
    }
