"""A validated lake from a few events, and the stages from there to the stores."""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.context import Context
from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA
from pipelines.io.files import write_json
from pipelines.io.preparation import exploring
from pipelines.settings import Settings
from pipelines.stages import features, prepare, publish
from tests.feature_data import CHECKOUT, Event, product_table


def validated(
    root: Path, events: Iterable[Event], cancellations: Iterable[Event], products: Iterable[dict[str, Any]]
) -> None:
    """What `validate` leaves. Events get their place as an id where they have none."""
    folder = root / prepare.VALIDATED
    numbered = [{"event_id": f"e{place:05}", **event} for place, event in enumerate(events)]
    days: dict[str, list[Event]] = {}
    for event in sorted(numbered, key=lambda e: (e["timestamp"], e["event_id"])):
        days.setdefault(f"{event['timestamp']:%Y-%m-%d}", []).append(event)
    for old in folder.glob("events/*/*"):
        old.unlink()
    for day, rows in days.items():
        path = folder / f"events/date={day}/part-0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table(rows, EVENT_SCHEMA), path)
    back = [{"event_id": f"c{place:05}", **event} for place, event in enumerate(cancellations)]
    back.sort(key=lambda e: (e["timestamp"], e["event_id"]))
    pq.write_table(_table(back, CANCELLATION_SCHEMA), folder / "cancellations.parquet")
    pq.write_table(product_table(products), folder / "products.parquet")
    last = max((event["timestamp"] for event in numbered), default=datetime.now(UTC))
    arrival = {"newest_arrival": (last + timedelta(days=2)).isoformat()}
    (root / prepare.SUMMARY).parent.mkdir(parents=True, exist_ok=True)
    write_json(root / prepare.SUMMARY, arrival)
    for name in ("params.yaml", "feature_repo"):
        if not (root / name).exists():
            (root / name).symlink_to(CHECKOUT / name)


def built(
    settings: Settings, events: Iterable[Event], cancellations: Iterable[Event] = (), products: Any = ()
) -> Context:
    """Run `prepare`, `features` and `publish` on such a log in the settings' root."""
    validated(settings.root, events, cancellations, products)
    context = Context(argparse.Namespace(), settings)
    with patch.object(exploring, "draw"):  # nobody looks at the plots
        prepare.run(context)
    features.run(context)
    publish.run(context)
    return context


def _table(rows: list[Event], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
