"""Feature views against a count event by event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest

from pipelines.core import features
from pipelines.io import duck
from tests.feature_data import Event, day, event, event_table, expected, product, product_table, random_events

UNTIL = day(95)  # every window of an event on day 49 is over


def rows(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = duck.connect("1GB", 1).to_pyarrow(table).to_pylist()
    return sorted(found, key=lambda r: r["event_timestamp"])


def of_events(view: Any, events: list[Event], until: datetime = UNTIL) -> list[dict[str, Any]]:
    return rows(view(ibis.memtable(event_table(events)), until))


def profile(products: list[dict[str, Any]], events: list[Event], until: datetime = UNTIL) -> list[dict[str, Any]]:
    return rows(
        features.item_profile(ibis.memtable(product_table(products)), ibis.memtable(event_table(events)), until)
    )


def true_at(points: list[dict[str, Any]], keys: dict[str, str], at: datetime) -> dict[str, Any]:
    """The newest change point of an entity at a moment, without keys and stamps."""
    past = [p for p in points if p["event_timestamp"] <= at and all(p[k] == v for k, v in keys.items())]
    last = past[-1] if past else {}
    return {k: v for k, v in last.items() if k not in ("user_id", "item_id", "event_timestamp", "created_timestamp")}


@pytest.mark.parametrize(
    ("view", "keys", "windows", "renamed"),
    [
        (features.user_activity, ["user_id"], (1, 7, 30), {}),
        (features.item_activity, ["item_id"], (1, 7, 30), {"spend_30d": "revenue_30d", "spend_all": "revenue_all"}),
        (features.user_item_activity, ["user_id", "item_id"], (7, 30), {}),
    ],
)
def test_activity_equals_a_count_at_every_entity_and_midnight(
    view: Any, keys: list[str], windows: tuple[int, ...], renamed: dict[str, str]
) -> None:
    events = random_events(seed=1, n=120)
    points = of_events(view, events)
    for entity in {tuple(e[k] for k in keys) for e in events}:
        for number in range(96):
            of = dict(zip(keys, entity, strict=True))
            counted = {renamed.get(k, k): v for k, v in expected(events, of, day(number), windows).items()}
            true = true_at(points, of, day(number))
            assert true == {k: v for k, v in counted.items() if k in true}
            assert bool(true) == bool(counted)


def test_activity_has_exactly_the_agreed_columns() -> None:
    (point, *_) = of_events(features.user_item_activity, [event("u", "i", "view", 0.5)])
    counts = [
        f"{kind}_{window}" for kind in ("views", "clicks", "carts", "purchases") for window in ("7d", "30d", "all")
    ]
    assert list(point) == [
        "user_id", "item_id", "event_timestamp", "created_timestamp", *counts, "last_event_epoch_s",
    ]  # fmt: skip


def test_activity_writes_a_row_only_where_a_value_changes() -> None:
    points = of_events(features.user_activity, [event("u", "i", "view", 0.5), event("u", "i", "view", 0.6)])
    assert [(p["event_timestamp"], p["views_1d"], p["views_7d"], p["views_30d"], p["views_all"]) for p in points] == [
        (day(1), 2, 2, 2, 2),
        (day(2), 0, 2, 2, 2),
        (day(8), 0, 0, 2, 2),
        (day(31), 0, 0, 0, 2),
    ]


def test_activity_of_an_uncounted_event_changes_only_when_it_happens() -> None:
    points = of_events(features.user_activity, [event("u", "i", "remove_from_cart", 3.5)])
    assert [(p["event_timestamp"], p["carts_all"], p["last_event_epoch_s"]) for p in points] == [
        (day(4), 0, int(day(3.5).timestamp()))
    ]


def test_activity_ends_at_the_given_midnight() -> None:
    events = [event("u", "i", "view", 0.5), event("u", "i", "view", 5.5)]
    assert [p["event_timestamp"] for p in of_events(features.user_activity, events, day(5))] == [day(1), day(2)]


def test_activity_counts_an_event_at_midnight_in_the_day_that_begins() -> None:
    points = of_events(features.user_activity, [event("u", "i", "view", 3)])
    assert points[0]["event_timestamp"] == day(4)


def test_money_is_in_whole_minor_units_and_ignores_what_has_no_price() -> None:
    events = [
        event("u", "i", "purchase", 0.1, price=0.29, quantity=3),  # 0.29 * 100 is 28.999999999999996
        event("u", "i", "view", 0.2, price=1.0),
        event("u", "i", "purchase", 0.3, price=None, quantity=5),
    ]
    (point, *_) = of_events(features.user_activity, events)
    assert (point["spend_all"], point["spend_30d"], point["mean_price_all"]) == (87, 87, (29 + 100) / 2)


def test_mean_price_is_missing_before_any_price() -> None:
    (point, *_) = of_events(features.user_activity, [event("u", "i", "view", 0.1, price=None)])
    assert point["mean_price_all"] is None


@pytest.mark.parametrize("cut", [10, 25, 40])
@pytest.mark.parametrize("view", [features.user_activity, features.item_activity, features.user_item_activity])
def test_changing_the_future_leaves_the_past_equal(view: Any, cut: int) -> None:
    events = random_events(seed=2, n=80)
    past = [e for e in events if e["timestamp"] < day(cut)]
    other = past + [e | {"timestamp": e["timestamp"] + timedelta(days=cut)} for e in random_events(seed=3, n=40)]
    before = [p for p in of_events(view, events) if p["event_timestamp"] <= day(cut)]
    after = [p for p in of_events(view, other) if p["event_timestamp"] <= day(cut)]
    key = str
    assert sorted(map(key, before)) == sorted(map(key, after))
    assert before


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


def test_values_are_64_bit_integers() -> None:
    table = features.user_activity(ibis.memtable(event_table([event("u", "i", "view", 0.5)])), UNTIL)
    types = {f.name: f.type for f in duck.connect("1GB", 1).to_pyarrow(table).schema}
    assert {types[n] for n in ("views_1d", "spend_all", "last_event_epoch_s")} == {pa.int64()}


def test_as_of_is_the_midnight_after_the_last_event_but_not_after_now() -> None:
    last = datetime(2024, 5, 4, 13, tzinfo=UTC)
    assert features.as_of(last, datetime(2024, 6, 1, tzinfo=UTC)) == datetime(2024, 5, 5, tzinfo=UTC)
    assert features.as_of(last, datetime(2024, 5, 4, 20, tzinfo=UTC)) == datetime(2024, 5, 4, tzinfo=UTC)
