"""Expressions of the core on small tables, run by DuckDB."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from pipelines.core.columns import EVENT_SCHEMA
from pipelines.io.duck import Engine, table

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PIECE = pa.schema([*EVENT_SCHEMA, pa.field("second", pa.int64()), pa.field("n", pa.int64())])


class Tables:
    """An engine that makes named tables of rows."""

    def __init__(self) -> None:
        self.engine = Engine("500MB", threads=1)

    def known(self, name: str, rows: list[dict[str, Any]], columns: Any) -> Any:
        """The expression of a table of ``rows``."""
        found = table(name, columns)
        self.engine.know(name, pa.Table.from_pylist(rows, found.schema().to_pyarrow()))
        return found

    def piece(self, *rows: dict[str, Any], name: str = "piece") -> Any:
        """A piece of events in order: gives each its ``n`` and ``second``."""
        placed = [row | {"n": n, "second": int(row["timestamp"].timestamp())} for n, row in enumerate(rows)]
        return self.known(name, placed, PIECE)

    def rows(self, expression: Any) -> list[dict[str, Any]]:
        """What it comes to."""
        found: list[dict[str, Any]] = self.engine.run(expression).to_pylist()
        return found


def event(seconds: float, user: str = "u", item: str = "a", kind: str = "view", **fields: Any) -> dict[str, Any]:
    """An event so many seconds after noon of January 5th."""
    row = {"event_id": f"e{seconds}", "user_id": user, "item_id": item, "event_type": kind, "quantity": 1}
    return row | {"timestamp": NOON + timedelta(seconds=seconds)} | fields
