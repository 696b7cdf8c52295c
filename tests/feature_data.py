"""Small logs for the tests of the feature views, and a brute-force reading of what the views promise."""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.context import Context
from pipelines.core.columns import EVENT_TYPES, PREPARED_SCHEMA, PRODUCT_SCHEMA
from pipelines.settings import Settings
from pipelines.stages import features, publish

CHECKOUT = Path(__file__).resolve().parents[1]
START = datetime(2024, 3, 1, tzinfo=UTC)
PREFIXES = {"views": "view", "clicks": "click", "carts": "add_to_cart", "purchases": "purchase"}

CODES = ("event_type_code", "device_code", "category_code")

Event = dict[str, Any]


def day(number: float) -> datetime:
    """The moment ``number`` days after the start."""
    return START + timedelta(days=number)


def event(user: str, item: str, kind: str, at: float, price: float | None = 10.0, quantity: int = 1) -> Event:
    """An event ``at`` days after the start."""
    return {
        "user_id": user, "item_id": item, "event_type": kind, "timestamp": day(at), "session_id": "s",
        "device": None, "quantity": quantity, "price": price,
    }  # fmt: skip


def random_events(seed: int, n: int, days: int = 50, users: int = 3, items: int = 4) -> list[Event]:
    """A log in which every window fills and empties."""
    rng = np.random.default_rng(seed)
    return [
        event(
            f"u{rng.integers(users)}",
            f"i{rng.integers(items)}",
            str(rng.choice(EVENT_TYPES)),
            float(rng.uniform(0, days)),
            None if rng.random() < 0.1 else round(float(rng.uniform(0.01, 99)), 2),
            int(rng.integers(1, 4)),
        )
        for _ in range(n)
    ]


def event_table(events: Iterable[Event]) -> pa.Table:
    """Prepared interactions, sorted as `prepare` sorts them."""
    plain = {"is_bot": False, "is_outlier": False, **dict.fromkeys(CODES, 0), "quantity_scaled": 0.0}
    rows = [{"event_id": f"e{i:05}", "net_quantity": e["quantity"], **plain, **e} for i, e in enumerate(events)]
    return pa.Table.from_pylist(sorted(rows, key=lambda r: (r["timestamp"], r["event_id"])), PREPARED_SCHEMA)


def product(item: str, valid_from: float, price: float = 10.0, **changes: Any) -> dict[str, Any]:
    """A catalogue entry known from ``valid_from`` days after the start."""
    return {
        "item_id": item, "title": f"Title of {item}", "category": "c", "price": price, "description": None,
        "image": None, "rating_rate": None, "rating_count": None, "in_stock": True, "valid_from": day(valid_from),
    } | changes  # fmt: skip


def product_table(products: Iterable[dict[str, Any]]) -> pa.Table:
    """The catalogue as `prepare` writes it."""
    rows = sorted(products, key=lambda r: (r["item_id"], r["valid_from"]))
    return pa.Table.from_pylist(rows, schema=PRODUCT_SCHEMA)


def published(settings: Settings, events: Iterable[Event], products: Iterable[dict[str, Any]]) -> Settings:
    """Run `features` and `publish` on the log in the settings' root."""
    context = prepared(settings, events, products)
    features.run(context)
    publish.run(context)
    return settings


def prepared(settings: Settings, events: Iterable[Event], products: Iterable[dict[str, Any]]) -> Context:
    """What `prepare` leaves, and a feature repository beside it."""
    folder = settings.root / "data/processed"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(event_table(events), folder / "prepared_interactions.parquet")
    pq.write_table(product_table(products), folder / "products.parquet")
    if not (settings.root / "feature_repo").exists():
        (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    return Context(argparse.Namespace(), settings)


def expected(events: Iterable[Event], keys: dict[str, str], at: datetime, windows: tuple[int, ...]) -> dict[str, Any]:
    """What the activity views promise for ``keys`` at the midnight ``at``, counted event by event.

    Empty where the entity has no event before ``at``. Money under the names of users' features.
    """
    past = [e for e in events if e["timestamp"] < at and all(e[k] == v for k, v in keys.items())]
    if not past:
        return {}
    found: dict[str, Any] = {"last_event_epoch_s": int(max(e["timestamp"] for e in past).timestamp())}
    for name, since in [*((f"{w}d", at - timedelta(days=w)) for w in windows), ("all", START - timedelta(days=999))]:
        inside = [e for e in past if e["timestamp"] >= since]
        for prefix, kind in PREFIXES.items():
            found[f"{prefix}_{name}"] = sum(e["event_type"] == kind for e in inside)
        bought = [e for e in inside if e["event_type"] == "purchase" and e["price"] is not None]
        found[f"spend_{name}"] = sum(cents(e) * e["quantity"] for e in bought)
    priced = [e for e in past if e["price"] is not None]
    found["mean_price_all"] = sum(map(cents, priced)) / len(priced) if priced else None
    return found


def cents(e: Event) -> int:
    """The price of an event in minor units."""
    return round(e["price"] * 100)
