"""The feature build: events a second, peak memory, and one day more; a part of it beside windows in DuckDB.

The log is random, over a year: users and items of very different activity, sessions, cancellations of purchases.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.core.columns import EVENT_TYPES, PREPARED_SCHEMA, PRODUCT_SCHEMA, TAKEN_BACK_SCHEMA, UTC_US, Col
from pipelines.core.features.digests import DayDigests
from pipelines.io import files, tables
from pipelines.io.features import feature_build, feature_log
from pipelines.settings import Settings
from pipelines.stages import prepare
from tests.benchmarks.pipeline import measure
from tests.conftest import CHECKOUT

DAYS: Final = 365
START: Final = datetime(2025, 1, 1, tzinfo=UTC)
LAST: Final = START + timedelta(days=DAYS)
ITEMS: Final = 20_000
DAY_US: Final = 86_400_000_000
SHARES: Final = (0.62, 0.2, 0.09, 0.02, 0.07)  # of EVENT_TYPES
DUCKDB: Final = Path(__file__).with_name("features_duckdb.py")


def run(_: Settings, events: int) -> Iterator[str]:
    """Yield a line for the year but its last day, for that day, for the command, and for DuckDB."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        root = Path(folder)
        write_log(root, events)
        os.environ["PYTHONPATH"] = str(CHECKOUT)
        _, peak = measure(root, "-m", "tests.benchmarks.features", str(root))
        whole, more = files.read_json(root / "seconds.json")
        yield f"{events:,} events: whole  {whole:6.1f} s  {peak / 1024:6.0f} MB  {events / whole:,.0f} events/s"
        yield f"{events:,} events: a day more {more:.2f} s, {more / whole:.1%} of it"
        seconds, peak = measure(root, str(DUCKDB), str(root))
        yield (
            f"{events:,} events: DuckDB {seconds:6.1f} s  {peak / 1024:6.0f} MB  "
            "(only counts of v1, only on days with events: no rows where windows decay)"
        )


def build_twice(root: Path) -> None:
    """Build the log but its last day, then that; note the seconds of both."""
    seconds = []
    for now in (LAST - timedelta(hours=12), LAST + timedelta(hours=12)):
        started = time.perf_counter()
        feature_build.build(root, now)
        seconds.append(time.perf_counter() - started)
    files.write_json(root / "seconds.json", seconds)


def write_log(root: Path, events: int) -> None:
    """What `prepare` leaves."""
    rng = np.random.default_rng(7)
    days, back = DayDigests(Col.TIMESTAMP, prepare.READ), DayDigests(Col.CANCELLED_AT, prepare.READ_BACK)
    taken: list[pa.Table] = []
    made = (_day(rng, day, events // DAYS, max(50, events // 100), taken) for day in range(DAYS))
    tables.write(root / feature_log.INTERACTIONS, days.through(made), PREPARED_SCHEMA)
    gone = pa.concat_tables(taken).sort_by(Col.CANCELLED_AT)
    tables.write(root / feature_log.TAKEN_BACK, back.through([gone]), TAKEN_BACK_SCHEMA)
    files.write_json(root / feature_log.DAYS, {"interactions": days.digests(), "taken_back": back.digests()})
    names = _names("P", np.arange(ITEMS))
    items = {Col.ITEM_ID: names, Col.TITLE: names, "in_stock": pa.repeat(True, ITEMS)}
    items["valid_from"] = pa.repeat(pa.scalar(START, UTC_US), ITEMS)
    tables.write(root / feature_log.PRODUCTS, [_filled(items, PRODUCT_SCHEMA)], PRODUCT_SCHEMA)


def _day(rng: np.random.Generator, day: int, n: int, users: int, taken: list[pa.Table]) -> pa.Table:
    """A day's events; every tenth purchase is taken back five days later."""
    time_us = np.sort(rng.integers(0, DAY_US, n)) + int(START.timestamp() * 1e6) + day * DAY_US
    user, item = (users * rng.random(n) ** 2).astype(int), (ITEMS * rng.random(n) ** 3).astype(int)
    kind = rng.choice(len(EVENT_TYPES), n, p=SHARES)
    columns = {
        Col.EVENT_ID: _names(f"E{day:03}-", np.arange(n)),
        Col.USER_ID: _names("U", user),
        Col.ITEM_ID: _names("P", item),
        Col.EVENT_TYPE: pa.array(np.array(EVENT_TYPES)[kind]),
        Col.TIMESTAMP: pa.array(time_us).cast(UTC_US),
        Col.SESSION_ID: _names("S", user),
        Col.QUANTITY: pa.array(rng.integers(1, 4, n)),
        Col.PRICE: pa.array(np.round(1 + item % 97 + 0.99, 2)),
        Col.CATEGORY: _names("c", item % 12),
        Col.IS_BOT: pa.array(np.zeros(n, np.bool_)),
    }
    bought = pa.table(columns).filter(pa.array((kind == EVENT_TYPES.index("purchase")) & (rng.random(n) < 0.1)))
    later = (bought[Col.TIMESTAMP].cast(pa.int64()).to_numpy() + 5 * DAY_US).astype("datetime64[us]")
    gone = {name: bought[name] for name in bought.column_names} | {
        Col.CANCELLED_AT: pa.array(later).cast(UTC_US),
        Col.WHOLE: pa.array(np.ones(len(bought), np.bool_)),
    }
    taken.append(_filled(gone, TAKEN_BACK_SCHEMA))
    return _filled(columns | {Col.NET_QUANTITY: columns[Col.QUANTITY]}, PREPARED_SCHEMA)


def _filled(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """A table of ``schema``: what isn't given is null, or 0 where it may not be."""
    size = len(next(iter(columns.values())))
    for field in schema:
        if field.name not in columns:
            columns[field.name] = pa.repeat(pa.scalar(None if field.nullable else 0, pa.int64()), size).cast(field.type)
    return pa.table([columns[name] for name in schema.names], schema.names).cast(schema)


def _names(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pa.array(np.char.add(prefix, numbers.astype("U8")))


if __name__ == "__main__":
    build_twice(Path(sys.argv[1]))
