"""A small lake as validate leaves it: eight days, ten users, forty events a day, four products."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA, PRODUCT_SCHEMA
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io import tables
from pipelines.io.intake.product_snapshots import BAD_PRODUCTS

CHECKOUT = Path(__file__).resolve().parents[2]
FIRST = datetime(2026, 2, 1, tzinfo=UTC)
ARRIVAL = "2026-02-09T01:00:00+00:00"
TYPES = ("view", "view", "click", "purchase")


def mapping(**changed: Any) -> SourceMapping:
    """The mapping of the simulated shop."""
    given = yaml.safe_load((CHECKOUT / "pipelines/sources/clickstream.yaml").read_text())
    return SourceMapping.parse(given | changed, "clickstream.yaml")


def events() -> list[dict[str, Any]]:
    """Every day is like the others."""
    return [
        {
            "event_id": f"e{day}-{n:02d}",
            "user_id": f"U{n % 10}",
            "item_id": f"P{n % 4}",
            "event_type": TYPES[n % 4],
            "timestamp": FIRST + timedelta(days=day, minutes=30 * n),
            "session_id": f"s{n % 10}",
            "device": ("mobile", "desktop")[n % 2],
            "quantity": 1,
            "price": float(n % 4 + 1),
        }
        for day in range(8)
        for n in range(40)
    ]


def products() -> list[dict[str, Any]]:
    """Two categories; one product without a price, one without a category."""
    return [
        {
            "item_id": f"P{n}",
            "title": f"Lamp {n}",
            "category": ("light", "home", "light", None)[n],
            "price": (9.5, None, 3.0, 4.0)[n],
            "in_stock": n != 2,
            "valid_from": FIRST,
        }
        for n in range(4)
    ]


def write(
    root: Path,
    rows: list[dict[str, Any]] | None = None,
    listed: list[dict[str, Any]] | None = None,
    cancelled: list[dict[str, Any]] | None = None,
    bad: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write the lake and return its summary; ``bad`` are rows of the quarantine, ``file``, ``line`` and ``reasons``."""
    rows = events() if rows is None else rows
    cancelled, bad = cancelled or [], bad or []
    days: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        days.setdefault(f"{row['timestamp']:%Y-%m-%d}", []).append(row)
    validated, quarantine = root / "data/validated", root / "data/quarantine"
    (validated / "events").mkdir(parents=True)
    for day, part in days.items():
        schema = pa.schema([field.with_nullable(True) for field in EVENT_SCHEMA])
        table = pa.Table.from_pylist(part, schema)
        tables.write(validated / f"events/date={day}/part-0.parquet", [table], schema)
    taken = pa.Table.from_pylist(cancelled, CANCELLATION_SCHEMA)
    tables.write(validated / "cancellations.parquet", [taken], CANCELLATION_SCHEMA)
    catalogue = pa.Table.from_pylist(products() if listed is None else listed, PRODUCT_SCHEMA)
    tables.write(validated / "products.parquet", [catalogue], PRODUCT_SCHEMA)
    tables.write(quarantine / "products.parquet", [], BAD_PRODUCTS)
    names = ("text", "repaired_in", "user_id", "product_id")
    schema = pa.schema(
        [("file", pa.string()), ("line", pa.int64()), ("reasons", pa.list_(pa.string()))]
        + [(name, pa.string()) for name in names]
    )
    tables.write(quarantine / "events.parquet", [pa.Table.from_pylist(bad, schema)], schema)
    reasons: dict[str, int] = {}
    for row in bad:
        for reason in row["reasons"]:
            reasons[reason] = reasons.get(reason, 0) + 1
    good = len(rows) + len(cancelled)
    counts = {"rows": good + len(bad), "quarantined": len(bad), "duplicates": 0}
    return {
        "source": "clickstream",
        **counts,
        "good": good,
        "events": len(rows),
        "cancellations": len(cancelled),
        "repaired": 0,
        "reasons": reasons,
        "files": {"2026/02/08/clickstream.csv": counts},
        "days": {day: len(part) for day, part in sorted(days.items())},
        "live_days": {},
        "newest_arrival": ARRIVAL,
    }
