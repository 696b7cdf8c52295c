"""Sessions and the catalogue as of the event, by rows computed by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import preparation
from pipelines.core.columns import EVENT_SCHEMA, PRODUCT_SCHEMA
from pipelines.io import duck

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def event(event_id: str, minute: float, user: str = "u", item: str = "a", **fields: Any) -> dict[str, Any]:
    row = {"event_id": event_id, "user_id": user, "item_id": item, "event_type": "view", "session_id": None}
    row |= {"timestamp": NOON + timedelta(minutes=minute), "device": None, "quantity": 1, "price": None}
    return row | fields


def state(item: str, day: int, price: float | None, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(PRODUCT_SCHEMA.names) | {"item_id": item, "title": item.upper(), "price": price}
    return row | {"in_stock": True, "valid_from": datetime(2026, 1, day, tzinfo=UTC)} | fields


def tables(folder: Path, events: list[dict[str, Any]], products: list[dict[str, Any]]) -> tuple[Any, Any]:
    pq.write_table(pa.Table.from_pylist(events, EVENT_SCHEMA), folder / "events.parquet")
    pq.write_table(pa.Table.from_pylist(products, PRODUCT_SCHEMA), folder / "products.parquet")
    con = duck.connect("500MB", threads=1)
    return con.read_parquet(str(folder / "events.parquet")), con.read_parquet(str(folder / "products.parquet"))


def test_session_ends_after_a_longer_gap(tmp_path: Path) -> None:
    events, products = tables(
        tmp_path,
        [
            event("1", 0),
            event("2", 30),  # exactly the gap: the same session
            event("3", 60.02),  # more than the gap after the last
            event("4", 60.02, user="v"),
            event("5", 61, session_id="given"),
            event("6", 90),  # 29.98 minutes after event 3
        ],
        [state("a", 1, 1.0)],
    )
    prepared = preparation.prepare(events, products, gap_minutes=30).to_pyarrow().to_pylist()
    assert [(row["event_id"], row["session_id"]) for row in prepared] == [
        ("1", "u-1"),
        ("2", "u-1"),
        ("3", "u-2"),
        ("4", "v-1"),
        ("5", "given"),
        ("6", "u-2"),
    ]


def test_absent_price_is_that_of_the_catalogue_at_the_time(tmp_path: Path) -> None:
    states = [state("a", 4, 1.0, category="old"), state("a", 5, 2.0), state("a", 6, 3.0, category="new")]
    events, products = tables(
        tmp_path,
        [
            event("1", -3 * 24 * 60),  # January 2: before the first state, which then counts
            event("2", -24 * 60),  # January 4
            event("3", 0),  # January 5
            event("4", 0, price=9.0),  # the log knows better
            event("5", 24 * 60 - 12 * 60),  # midnight of January 6: the new state is valid from there
            event("6", 0, item="unlisted"),
        ],
        states,
    )
    prepared = preparation.prepare(events, products, 30).to_pyarrow().to_pylist()
    assert {row["event_id"]: (row["price"], row["category"]) for row in prepared} == {
        "1": (1.0, "old"),
        "2": (1.0, "old"),
        "3": (2.0, None),
        "4": (9.0, None),
        "5": (3.0, "new"),
        "6": (None, None),
    }


def test_prepared_rows_come_by_time_and_event_id(tmp_path: Path) -> None:
    events, products = tables(tmp_path, [event("9", 1), event("b", 0), event("a", 0)], [state("a", 1, 1.0)])
    assert preparation.prepare(events, products, 30).to_pyarrow()["event_id"].to_pylist() == ["a", "b", "9"]


def test_catalogue_covers_every_item_of_the_events(tmp_path: Path) -> None:
    events, products = tables(tmp_path, [event("1", 0, item="x"), event("2", 5, item="x")], [state("a", 1, 1.0)])
    found = preparation.covering(products, events).to_pyarrow().to_pylist()
    assert [(row["item_id"], row["title"], row["valid_from"]) for row in found] == [
        ("a", "A", datetime(2026, 1, 1, tzinfo=UTC)),
        ("x", "x", datetime(2026, 1, 5, tzinfo=UTC)),
    ]
