"""Sessions and the catalogue as of the event, by rows computed by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.core.columns import PRODUCT_SCHEMA
from pipelines.core.lake import preparation
from pipelines.io.duck import table
from tests.core.engine import NOON, Tables, event

HOUR = 3600


@pytest.fixture
def tables() -> Tables:
    return Tables()


def state(item: str, day: int, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(PRODUCT_SCHEMA.names) | {"item_id": item, "title": item.upper()}
    return row | {"in_stock": True, "valid_from": datetime(2026, 1, day, tzinfo=UTC)} | fields


def numbers(tables: Tables, piece: Any, *carried: dict[str, Any]) -> list[tuple[float, int]]:
    """(seconds after noon, number of the session) of each event."""
    found = preparation.sessions(piece, tables.known("carried", list(carried), preparation.CARRIED), 30)
    return [((row["timestamp"] - NOON).total_seconds(), row["number"]) for row in tables.rows(found.order_by("n"))]


def test_session_ends_after_a_longer_gap(tables: Tables) -> None:
    piece = tables.piece(event(0), event(1800), event(3601), event(3601, user="v"), event(5401))
    assert numbers(tables, piece) == [(0, 1), (1800, 1), (3601, 2), (3601, 1), (5401, 2)]  # a gap of 1801 s, then 1800


def test_sessions_go_on_where_the_piece_before_ended(tables: Tables) -> None:
    piece = tables.piece(event(60), event(60, user="v"), event(60, user="new"))
    near = {"user_id": "u", "last": NOON - timedelta(minutes=29), "number": 4}
    far = {"user_id": "v", "last": NOON - timedelta(minutes=30), "number": 4}
    assert numbers(tables, piece, near, far) == [(60, 4), (60, 5), (60, 1)]


def test_carry_keeps_those_who_did_nothing(tables: Tables) -> None:
    idle = {"user_id": "idle", "last": NOON, "number": 7}
    before = {"user_id": "u", "last": NOON, "number": 1}
    carried = tables.known("carried", [idle, before], preparation.CARRIED)
    numbered = preparation.sessions(tables.piece(event(60), event(4 * HOUR)), carried, 30)
    tables.engine.keep("numbered", numbered)
    numbered = table("numbered", numbered.schema())
    found = tables.rows(preparation.carry(carried, numbered).order_by("user_id"))
    assert found == [idle, {"user_id": "u", "last": NOON + timedelta(hours=4), "number": 2}]


def at(tables: Tables, products: list[dict[str, Any]], *events: dict[str, Any]) -> list[str | None]:
    """The category of each event's state, over a piece from January 2nd to 6th."""
    states = preparation.states(tables.known("products", products, PRODUCT_SCHEMA))
    span = {"start": datetime(2026, 1, 2, tzinfo=UTC), "end": datetime(2026, 1, 7, tzinfo=UTC)}
    here = preparation.in_force(states, tables.known("span", [span], dict.fromkeys(span, "timestamp('UTC', 6)")))
    places = [row["place"] for row in tables.rows(preparation.states_at(tables.piece(*events), here).order_by("n"))]
    categories = {row["place"]: row["category"] for row in tables.rows(states)}
    return [None if place is None else categories[place] for place in places]


def test_state_is_that_of_the_events_time(tables: Tables) -> None:
    states = [state("a", day, category=f"from {day}") for day in (4, 5, 6)]
    events = [event(-72 * HOUR), event(-24 * HOUR), event(0), event(12 * HOUR)]  # January 2, 4, 5, and midnight of 6
    assert at(tables, states, *events) == ["from 4", "from 4", "from 5", "from 6"]


def test_state_of_an_item_that_does_not_change_in_the_piece(tables: Tables) -> None:
    states = [state("a", 1, category="old"), state("a", 2, category="in force"), state("a", 9, category="too late")]
    assert at(tables, states, event(0), event(1, item="unlisted")) == ["in force", None]


def test_events_come_back_in_their_order_whatever_their_items_do(tables: Tables) -> None:
    states = [state("b", 1, category="b"), state("a", 1, category="a1"), state("a", 5, category="a5")]
    events = [event(n, item="ab"[n % 2]) for n in range(10)]
    assert at(tables, states, *events) == ["a5", "b"] * 5


def test_catalogue_covers_unlisted_items(tables: Tables) -> None:
    products = tables.known("products", [state("a", 1)], PRODUCT_SCHEMA)
    unlisted = tables.known(
        "unlisted", [{"item_id": "x", "first": NOON}], {"item_id": "string", "first": "timestamp('UTC', 6)"}
    )
    found = tables.rows(preparation.covering(products, unlisted))
    assert [(row["item_id"], row["title"], row["valid_from"]) for row in found] == [
        ("a", "A", datetime(2026, 1, 1, tzinfo=UTC)),
        ("x", "x", datetime(2026, 1, 5, tzinfo=UTC)),
    ]
