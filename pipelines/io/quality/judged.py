"""What the expectations judge, as tables of one DuckDB: the lake's files as views, counts and the newest day beside."""

import itertools
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA, PRODUCT_SCHEMA, Col
from pipelines.core.lake.newest_day import Drift, NewestDay, age_days, drift, newest_day
from pipelines.io.tables import utc

VALIDATED: Final = Path("data/validated")
MEMORY: Final = "1GB"
DRIFTING: Final = (Col.EVENT_TYPE, Col.DEVICE, Col.CATEGORY, Col.PRICE, "hour")
"""What is compared between the newest day and the days before it; ``hour`` is the hour of the day in UTC."""
_SORTED_AT_A_TIME: Final = 1 << 24
_number: Final = itertools.count()


@dataclass(frozen=True)
class Judged:
    """An open database of the tables below, and what was measured on the way.

    ``data_set`` has one row of counts, ``files`` a row a file, ``newest_day`` one row: ``age_days``, ``volume`` and
    ``drift_<column>``, null where there is nothing to measure. ``events``, ``cancellations`` and ``products`` are
    those of the lake. ``repeated`` holds the hashes of event ids that occur twice, ``unlisted`` the item ids of events
    that no product has.
    """

    name: str
    arrival: datetime
    newest_event: datetime | None
    day: NewestDay | None
    drifts: Mapping[str, Drift]


@contextmanager
def opened(root: Path, summary: Mapping[str, Any]) -> Iterator[Judged]:
    """Open the tables; they are there for every connection of this process to ``Judged.name`` meanwhile."""
    name = f":memory:judged-{next(_number)}"
    arrival = utc(summary["newest_arrival"])
    with duckdb.connect(name) as con:
        con.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {len(os.sched_getaffinity(0))}")
        con.execute(f"SET temp_directory = '{tempfile.gettempdir()}/recomart-duckdb-{os.getpid()}'")
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        _view(con, "events", root / VALIDATED / "events", EVENT_SCHEMA)
        _view(con, "cancellations", root / VALIDATED / "cancellations.parquet", CANCELLATION_SCHEMA)
        _view(con, "products", root / VALIDATED / "products.parquet", PRODUCT_SCHEMA)
        _table(con, "data_set", [_counts(summary)])
        _table(con, "files", [{"file": file} | _shares(counts) for file, counts in summary["files"].items()])
        _table(con, "repeated", pa.table({"hash": pa.array(_repeated(con), pa.uint64())}))
        con.execute(
            "CREATE TABLE unlisted AS SELECT item_id FROM (SELECT DISTINCT item_id FROM events) "
            "ANTI JOIN products USING (item_id)"
        )
        (newest_event,) = con.execute("SELECT max(timestamp) FROM events").fetchall()[0]
        day = newest_day(summary["days"], arrival, summary["live_days"])
        drifts = _drifts(con, day) if day and day.comparable else {}
        _table(con, "newest_day", _measures(newest_event and age_days(newest_event, arrival), day, drifts))
        yield Judged(name, arrival, newest_event, day, drifts)


def _view(con: duckdb.DuckDBPyConnection, name: str, path: Path, schema: pa.Schema) -> None:
    """A view of a file or of a folder's parts; a folder may be empty."""
    parts = sorted(path.glob("*/*.parquet")) if path.suffix != ".parquet" else [path]
    if not parts:
        _table(con, name, schema.empty_table())
        return
    listed = ", ".join("'" + str(part).replace("'", "''") + "'" for part in parts)
    con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}], hive_partitioning = false)")


def _table(con: duckdb.DuckDBPyConnection, name: str, rows: pa.Table | list[dict[str, Any]]) -> None:
    con.register("given", rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows))
    con.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    con.unregister("given")


def _counts(summary: Mapping[str, Any]) -> dict[str, Any]:
    names = ("rows", "good", "events", "cancellations", "quarantined", "duplicates")
    counts = {name: summary[name] for name in names}
    return _shares(counts) | {"accounted_for": summary["good"] + summary["quarantined"] + summary["duplicates"]}


def _shares(counts: Mapping[str, int]) -> dict[str, Any]:
    return dict(counts) | {"bad_share": counts["quarantined"] / max(1, counts["rows"])}


def _repeated(con: duckdb.DuckDBPyConnection) -> Any:
    """Hashes (64 bits) that several events' ids have, found by sorting a bounded number of them at a time.

    Sorting them is three times as fast as grouping by them.
    """
    (rows,) = con.execute("SELECT count(*) FROM events").fetchall()[0]
    parts = max(1, math.ceil(rows / _SORTED_AT_A_TIME))
    found = []
    for part in range(parts):
        query = f"SELECT hash(event_id) AS hash FROM events WHERE {parts} = 1 OR hash(event_id) % {parts} = {part}"
        hashes = np.sort(np.asarray(con.execute(query).fetchnumpy()["hash"], dtype=np.uint64))
        found.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
    return np.concatenate(found)


def _measures(age: float | None, day: NewestDay | None, drifts: Mapping[str, Drift]) -> pa.Table:
    """The one row of ``newest_day``."""
    row = {
        "age_days": age,
        "volume": day.volume if day and day.comparable else None,
        **{f"drift_{name}": drifts[name].psi if name in drifts else None for name in DRIFTING},
    }
    return pa.Table.from_pylist([row], pa.schema([(name, pa.float64()) for name in row]))


def _drifts(con: duckdb.DuckDBPyConnection, day: NewestDay) -> dict[str, Drift]:
    """Column → its drift, without those that have no value on a side."""
    con.execute(
        "CREATE TEMP TABLE week AS SELECT timestamp::DATE = $day AS newest, user_id, event_type, device, "
        "category, price, hour(timestamp) AS hour FROM events LEFT JOIN "
        "(SELECT item_id, arg_max(category, valid_from) AS category FROM products GROUP BY item_id) USING (item_id) "
        "WHERE timestamp >= $first::DATE AND timestamp < $day::DATE + 1",
        {"day": day.day, "first": min(day.before)},
    )
    users = "SELECT count(DISTINCT user_id) FILTER (NOT newest), count(DISTINCT user_id) FILTER (newest) FROM week"
    samples = con.execute(users).fetchall()[0]
    counted = {name: drift(_histogram(con, name), samples) for name in DRIFTING}
    con.execute("DROP TABLE week")
    return {name: found for name, found in counted.items() if found}


def _histogram(con: duckdb.DuckDBPyConnection, column: str) -> dict[str, tuple[int, int]]:
    """Value → events of the days before and of the newest one; a price counts by tenths of the days before."""
    value = f"coalesce({column}::VARCHAR, 'none')"
    if column == Col.PRICE:
        tenths = "SELECT quantile_disc(price, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) FROM week WHERE NOT newest"
        edges = sorted(set(con.execute(tenths).fetchall()[0][0] or []))
        cases = " ".join(f"WHEN price <= {edge!r} THEN 'up to {edge:,.2f}'" for edge in edges)
        value = f"CASE WHEN price IS NULL THEN 'none' {cases} ELSE 'above {edges[-1] if edges else 0:,.2f}' END"
    counts = f"SELECT {value} AS value, count(*) FILTER (NOT newest), count(*) FILTER (newest) FROM week GROUP BY value"
    return {value: (before, after) for value, before, after in con.execute(counts).fetchall()}
