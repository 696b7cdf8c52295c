"""What an event is told of its item is what was known at its time: no price of tomorrow, in no column."""

from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow.parquet as pq
import pytest

from pipelines.context import Context
from pipelines.core.item_profile import item_profile
from pipelines.io import lake
from pipelines.stages import prepare, validate
from tests.feature_data import day, event, event_table, product_table
from tests.feature_data import product as known
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
