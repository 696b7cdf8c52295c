"""Nothing knows what happens later: no event a price of tomorrow, no feature an event of tomorrow."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow.parquet as pq
import pytest

from pipelines.context import Context
from pipelines.core.features.audit import Pair
from pipelines.core.features.feature_views import VIEWS
from pipelines.core.features.item_profile import item_profile
from pipelines.io.features import audit_stores, feast_store
from pipelines.io.intake import lake
from pipelines.settings import Settings
from pipelines.stages import prepare, validate
from tests.feature_data import day, event, event_table, product_table, random_events
from tests.feature_data import product as known
from tests.lake_data import built
from tests.stages.shop import ARRIVED, fill_lake

FIRST = datetime(2026, 2, 1, tzinfo=UTC)
CHANGE = datetime(2026, 2, 3, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
TIMES = {
    "before the first fetch": datetime(2026, 1, 20, tzinfo=UTC),
    "first fetch": FIRST,
    "just before the change": CHANGE - TICK,
    "the very moment of the change": CHANGE,
    "after the change": CHANGE + timedelta(hours=20),
    "just before the last fetch": ARRIVED - TICK,
}


def product(price: float, category: str) -> dict[str, Any]:
    return {"id": "P1", "title": "Lamp", "price": price, "category": category}


def prepared(context: Context, *snapshots: tuple[datetime, float, str]) -> dict[str, tuple[float, str]]:
    """Price and category of each event by its id, from a log without prices and fetches of the catalogue."""
    lines = [f"{name},U1,P1,view,{time.isoformat()}" for name, time in TIMES.items()]
    log = "\n".join(["event_id,user_id,product_id,event_type,timestamp", *lines, ""])
    (moment, price, category), *others = snapshots
    fill_lake(context.root, {"clickstream-2026-02-05.csv": log.encode()}, [product(price, category)])
    catalogue = lake.Manifest.read(context.root / lake.PRODUCTS)
    catalogue.files[0]["ingested_at"] = moment.isoformat()
    for moment, price, category in others:
        lake.add_products(catalogue, [product(price, category)], "http://shop", moment)
    catalogue.write()
    validate.run(context)
    prepare.run(context)
    rows = pq.read_table(context.root / prepare.INTERACTIONS, columns=["event_id", "price", "category"]).to_pylist()
    return {row["event_id"]: (row["price"], row["category"]) for row in rows}


@pytest.mark.slow
def test_event_has_the_price_of_its_time(context: Context) -> None:
    snapshots = (FIRST, 10.0, "old"), (CHANGE, 20.0, "new"), (ARRIVED, 30.0, "newest")
    assert prepared(context, *snapshots) == {
        "before the first fetch": (10.0, "old"),  # no older truth
        "first fetch": (10.0, "old"),
        "just before the change": (10.0, "old"),
        "the very moment of the change": (20.0, "new"),
        "after the change": (20.0, "new"),
        "just before the last fetch": (20.0, "new"),
    }


@pytest.mark.slow
def test_event_knows_nothing_of_a_price_that_changes_later(context: Context) -> None:
    found = prepared(context, (FIRST, 10.0, "old"), (ARRIVED, 99.0, "new"))
    assert set(found.values()) == {(10.0, "old")}


def test_feature_knows_nothing_of_a_price_that_changes_later() -> None:
    def prices(*states: dict[str, Any]) -> list[tuple[datetime, float]]:
        events = [event("u", "i", "view", at) for at in (1.5, 20.5)]
        view = item_profile(ibis.memtable(product_table(list(states))), ibis.memtable(event_table(events)), day(30))
        rows = sorted(view.to_pyarrow().to_pylist(), key=lambda row: row["event_timestamp"])
        return [(row["event_timestamp"], row["price"]) for row in rows]

    today = prices(known("i", 1, price=10.0))
    later = prices(known("i", 1, price=10.0), known("i", 12.5, price=99.0))
    assert [row for row in later if row[0] < day(12.5)] == today
    assert (day(12.5), 99.0) in later


def told(settings: Settings, at: datetime) -> dict[Pair, Any]:
    """All features of all views of every entity at a moment, from the offline store."""
    store = feast_store.open_store(settings)
    found: dict[Pair, Any] = {}
    ids = {
        "user_id": ["u0", "u1", "u2", "u9"],
        "item_id": ["i0", "i1", "i2", "i3", "i9"],
        "category": ["c0", "c1", "c9"],
    }
    for view, written in VIEWS.items():
        keys = itertools.product(*(ids[key] for key in written.keys))
        pairs = [Pair(view, entity, int(at.timestamp()) * 1_000_000) for entity in keys]
        found |= dict(audit_stores.offline(store, view, pairs))
    return found


@pytest.mark.slow
def test_no_feature_knows_what_happens_later(settings: Settings) -> None:
    at = day(40.4)
    events = [*random_events(41, 400, days=50, users=3, items=4), event("u0", "i0", "view", 40.1)]
    events = [{"event_id": f"e{place}", **one} for place, one in enumerate(events)]
    back = [
        {**one, "event_id": f"c{place}", "timestamp": one["timestamp"] + timedelta(days=place % 9)}
        for place, one in enumerate(e for e in events if e["event_type"] == "purchase")
    ]
    items = [known(f"i{n}", 1, category=f"c{n % 2}") for n in range(4)] + [known("i1", 20, price=7.0)]
    past = [e for e in events if e["timestamp"] < at]
    past_back = [c for c in back if c["timestamp"] < at]
    changed = [e | {"item_id": "i3", "event_type": "purchase", "price": 99.0, "quantity": 5} for e in events]
    more = [event(user, item, "purchase", 40.41) for user in ("u0", "u9") for item in ("i0", "i3")]
    more.append(event("u0", "i9", "view", 41.5))
    futures = {
        "dropped": (past, past_back, items),
        "changed and more": (
            [
                *past,
                *(e for e in changed if e["timestamp"] >= at),
                *({"event_id": f"m{place}", **one} for place, one in enumerate(more)),
            ],
            [*back, *({**c, "event_id": c["event_id"] + "x", "timestamp": day(40.5)} for c in back)],
            [*items, known("i2", 40.45, price=1.0, category="c9"), known("i9", 42)],
        ),
    }
    built(settings, events, back, items)
    before = told(settings, at)
    assert {pair.view for pair, row in before.items() if row} == set(VIEWS)
    later = told(settings, day(50))
    for future, log in futures.items():
        built(settings, *log)
        assert told(settings, at) == before, future
        assert told(settings, day(50)) != later, future
