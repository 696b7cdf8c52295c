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
from pipelines.core.columns import EVENT_TYPES, PREPARED_SCHEMA, PRODUCT_SCHEMA, TAKEN_BACK_SCHEMA
from pipelines.core.features.digests import DayDigests
from pipelines.io import files
from pipelines.settings import Settings
from pipelines.stages import features, prepare, publish

CHECKOUT = Path(__file__).resolve().parents[1]
START = datetime(2024, 3, 1, tzinfo=UTC)
PREFIXES = {"views": "view", "clicks": "click", "carts": "add_to_cart", "purchases": "purchase"}

CODES = ("event_type_code", "device_code", "category_code")

Event = dict[str, Any]


def day(number: float) -> datetime:
    """The moment ``number`` days after the start."""
    return START + timedelta(days=number)


def event(user: str, item: str, kind: str, at: float, price: float | None = 10.0, quantity: int = 1,
          category: str | None = None) -> Event:  # fmt: skip
    """An event ``at`` days after the start."""
    return {
        "user_id": user, "item_id": item, "event_type": kind, "timestamp": day(at), "session_id": "s",
        "device": None, "quantity": quantity, "price": price, "category": category,
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


def prepared(
    settings: Settings, events: Iterable[Event], products: Iterable[dict[str, Any]], taken: Iterable[Event] = ()
) -> Context:
    """What `prepare` leaves, and a feature repository beside it."""
    folder = settings.root / "data/processed"
    folder.mkdir(parents=True, exist_ok=True)
    log, back = event_table(events), taken_back_table(taken)
    pq.write_table(log, folder / "prepared_interactions.parquet")
    pq.write_table(back, folder / "taken_back.parquet")
    pq.write_table(product_table(products), folder / "products.parquet")
    days = {
        "interactions": DayDigests("timestamp", prepare.READ),
        "taken_back": DayDigests("cancelled_at", prepare.READ_BACK),
    }
    for name, rows in {"interactions": log, "taken_back": back}.items():
        days[name].add(rows)
    files.write_json(folder / "days.json", {name: of.digests() for name, of in days.items()})
    if not (settings.root / "feature_repo").exists():
        (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    return Context(argparse.Namespace(), settings)


def taken_back_table(taken: Iterable[Event]) -> pa.Table:
    """What was taken back, sorted as `prepare` sorts it."""
    rows = [{"event_id": "e", "is_bot": False, **t} for t in taken]
    return pa.Table.from_pylist(sorted(rows, key=lambda r: r["cancelled_at"]), TAKEN_BACK_SCHEMA)


def taken_back(purchase: Event, at: float, quantity: int, whole: bool) -> Event:
    """Pieces of a purchase taken back ``at`` days after the start; ``whole``: nothing of it is left."""
    return purchase | {"quantity": quantity, "whole": whole, "cancelled_at": day(at)}


def random_taken_back(seed: int, events: Iterable[Event], share: float = 0.5) -> list[Event]:
    """Some purchases taken back later, in one or two parts, wholly or not."""
    rng = np.random.default_rng(seed)
    found = []
    for bought in events:
        if bought["event_type"] != "purchase" or rng.random() > share:
            continue
        at = (bought["timestamp"] - START) / timedelta(days=1) + float(rng.choice([0.001, 1, 6, 8, 29, 30, 31, 40]))
        left = bought["quantity"]
        for pieces in [1, left - 1] if left > 1 and rng.random() < 0.5 else [rng.integers(1, left + 1)]:
            left -= int(pieces)
            found.append(taken_back(bought, at, int(pieces), left == 0))
            at += float(rng.choice([0, 0.5, 3]))
    return found


def expected(events: Iterable[Event], keys: dict[str, str], at: datetime, windows: tuple[int, ...]) -> dict[str, Any]:
    """What the activity views promise for ``keys`` at the midnight ``at``, counted event by event.

    Empty where the entity has no event before ``at``. Money under the names of users' features.
    """
    past = [e for e in events if e["timestamp"] < at and all(e[k] == v for k, v in keys.items())]
    if not past:
        return {}
    found: dict[str, Any] = {"last_event_epoch_s": int(max(e["timestamp"] for e in past).timestamp())}
    for name, since in _spans(at, windows):
        inside = [e for e in past if e["timestamp"] >= since]
        for prefix, kind in PREFIXES.items():
            found[f"{prefix}_{name}"] = sum(e["event_type"] == kind for e in inside)
        bought = [e for e in inside if e["event_type"] == "purchase"]
        found[f"spend_{name}"] = sum(cents(e) * e["quantity"] for e in bought)
    priced = [e for e in past if e["price"] is not None]
    found["mean_price_all"] = sum(map(cents, priced)) / len(priced) if priced else None
    return found


def expected_net(events: Iterable[Event], taken: Iterable[Event], keys: dict[str, str], at: datetime) -> dict[str, Any]:
    """What the views that are net of cancellations promise for ``keys`` at ``at``: all names of users and items."""
    past = [e for e in events if e["timestamp"] < at and all(e[k] == v for k, v in keys.items())]
    if not past:
        return {}
    back = [t for t in taken if t["cancelled_at"] < at and all(t[k] == v for k, v in keys.items())]
    found = expected(past, keys, at, (1, 7, 30))
    for name, since in _spans(at, (1, 7, 30)):
        inside = [e for e in past if e["timestamp"] >= since]
        gone = [t for t in back if t["timestamp"] >= since]
        found[f"removals_{name}"] = sum(e["event_type"] == "remove_from_cart" for e in inside)
        found[f"purchases_{name}"] -= sum(t["whole"] for t in gone)
        found[f"spend_{name}"] -= sum(cents(t) * t["quantity"] for t in gone)
        found[f"revenue_{name}"] = found[f"spend_{name}"]
        priced = [e for e in inside if e["price"] is not None]
        found[f"priced_{name}"] = len(priced)
        found[f"mean_price_{name}"] = sum(map(cents, priced)) / len(priced) if priced else None
        found[f"distinct_items_{name}"] = len({e["item_id"] for e in inside})
        found[f"distinct_users_{name}"] = len({e["user_id"] for e in inside})
    bought = [int(e["timestamp"].timestamp()) for e in past if e["event_type"] == "purchase"]
    found["last_purchase_epoch_s"] = max(bought, default=None)
    looked = found["views_30d"] + found["clicks_30d"] + 20
    week, month = (sum(found[f"{prefix}_{name}"] for prefix in PREFIXES) for name in ("7d", "30d"))
    found["cart_rate_30d"] = (found["carts_30d"] + 1) / looked
    found["conversion_30d"] = (found["purchases_30d"] + 1) / looked
    found["trend_7d_30d"] = (week / 7 + 0.1) / (month / 30 + 0.1)
    latest = [e["item_id"] for e in sorted(past, key=lambda e: e["timestamp"], reverse=True)]
    found["recent_items"] = list(dict.fromkeys(latest))[:20]
    return found


def _spans(at: datetime, windows: tuple[int, ...]) -> list[tuple[str, datetime]]:
    """Name and begin of windows and all time."""
    return [*((f"{w}d", at - timedelta(days=w)) for w in windows), ("all", START - timedelta(days=999))]


def cents(e: Event) -> int:
    """The price of an event in minor units, 0 if it has none."""
    return round((e["price"] or 0) * 100)
