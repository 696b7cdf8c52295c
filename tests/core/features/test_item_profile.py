"""Items' profiles as change points."""

from datetime import datetime
from typing import Any

import ibis

from pipelines.core.features.item_profile import item_profile
from pipelines.io import duck
from tests.feature_data import Event, day, event, event_table, product, product_table

UNTIL = day(95)


def profile(products: list[dict[str, Any]], events: list[Event], until: datetime = UNTIL) -> list[dict[str, Any]]:
    table = item_profile(ibis.memtable(product_table(products)), ibis.memtable(event_table(events)), until)
    rows: list[dict[str, Any]] = duck.connect("1GB", 1).to_pyarrow(table).to_pylist()
    return sorted(rows, key=lambda row: row["event_timestamp"])


def test_first_known_profile_counts_from_the_midnight_before_the_first_event() -> None:
    points = profile([product("i", 20.5), product("i", 30.25, price=12.0)], [event("u", "i", "view", 3.5)])
    assert [(p["event_timestamp"], p["price"]) for p in points] == [(day(3), 10.0), (day(30.25), 12.0)]
    assert {p["first_seen_epoch_s"] for p in points} == {int(day(3).timestamp())}


def test_profile_counts_from_its_own_day_if_that_is_earlier() -> None:
    (point,) = profile([product("i", 2.5)], [event("u", "i", "view", 9.5)])
    assert point["event_timestamp"] == day(2)


def test_profile_without_events_counts_from_its_day_or_the_end() -> None:
    points = profile([product("old", 2.5), product("new", 999)], [event("u", "i", "view", 3.5)])
    assert [(p["item_id"], p["event_timestamp"]) for p in points] == [("old", day(2)), ("new", UNTIL)]


def test_profile_that_repeats_itself_writes_no_row() -> None:
    states = [product("i", 1.5), product("i", 2.5), product("i", 3.5, in_stock=False), product("i", 4.5)]
    points = profile(states, [event("u", "i", "view", 1.5)])
    assert [(p["event_timestamp"], p["in_stock"]) for p in points] == [
        (day(1), True), (day(3.5), False), (day(4.5), True),
    ]  # fmt: skip


def test_profiles_of_one_moment_leave_one_row_whatever_their_order() -> None:
    states = [product("i", 1.5, price=1.0), product("i", 1.5, price=2.0)]
    one, other = (profile(s, [event("u", "i", "view", 1.5)]) for s in (states, states[::-1]))
    assert one == other
    assert len(one) == 1


def test_profile_after_the_end_is_unknown() -> None:
    points = profile([product("i", 1), product("i", 50, price=3.0)], [event("u", "i", "view", 1.5)], day(40))
    assert [p["price"] for p in points] == [10.0]
