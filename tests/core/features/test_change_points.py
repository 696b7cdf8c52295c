"""The timeline's rows against a count event by event."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.core.errors import InputError
from pipelines.core.features.change_points import Timeline
from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import DayEvents, TakenBack
from pipelines.core.features.feature_views import KINDS_V1, RECENT_DAYS, VIEWS
from tests.core import timelines
from tests.core.timelines import END, FIRST
from tests.feature_data import (
    Event,
    day,
    event,
    expected,
    expected_net,
    random_events,
    random_taken_back,
    taken_back,
)  # fmt: skip

ACTIVITY = [view for view in VIEWS if view != "item_profile_v1"]
SEEDS = range(3)


def log(seed: int, n: int = 90) -> tuple[list[Event], list[Event]]:
    """Events, in categories or none, and what was taken back of them."""
    events = random_events(seed, n, days=49, users=4, items=6)
    categories = [None, "shoes", "hats", "bags"]
    # an item's category changes once: what counts is the event's
    events = [e | {"category": categories[(int(e["item_id"][1:]) + (e["timestamp"] > day(24))) % 4]} for e in events]
    return events, random_taken_back(seed, events)


def rows_of(events: list[Event], taken: list[Event]) -> timelines.Rows:
    timeline = timelines.new()
    tables = timelines.run(timeline, timelines.days(timeline, events, taken))
    return {view: table.to_pylist() for view, table in tables.items()}


@cache
def rows_of_log(seed: int) -> timelines.Rows:
    return rows_of(*log(seed))


def true_rows(view: str, events: list[Event], taken: list[Event]) -> list[dict[str, Any]]:
    """All rows of ``view``, by brute force."""
    keys, rows = VIEWS[view].keys, []
    for entity in {entity for e in events if None not in (entity := tuple(e[k] for k in keys))}:
        of = dict(zip(keys, entity, strict=True))
        mine, back = ([e for e in log if all(e[k] == v for k, v in of.items())] for log in (events, taken))
        for at in map(day, sorted(stamps(view, mine, back))):
            stamped = of | {"event_timestamp": at, "created_timestamp": at}
            rows.append(stamped | promised(view, mine, back, of, at))
    return sorted(rows, key=lambda row: (row["event_timestamp"], *(row[k] for k in keys)))


def promised(view: str, events: list[Event], taken: list[Event], of: dict[str, str], at: datetime) -> dict[str, Any]:
    """The values of an entity of ``view`` at a midnight."""
    made = view in ("user_activity_v1", "item_activity_v1", "user_item_activity_v1")
    values = expected(events, of, at, (1, 7, 30)) if made else expected_net(events, taken, of, at)
    values |= {name.replace("spend", "revenue"): v for name, v in values.items() if "spend" in name}
    return {name: values[name] for name in VIEWS[view].features} if values else {}


def stamps(view: str, events: list[Event], taken: list[Event]) -> set[int]:
    """The midnights, in days after the start, at which an entity has a row, from its events."""
    mine = [(e["event_type"], number(e["timestamp"])) for e in events]
    found = {at + 1 for _, at in mine}
    if view == "user_recent_items_v1":
        return found
    windows = [w for w in (1, 7, 30) if f"views_{w}d" in VIEWS[view].features]
    counted = KINDS_V1 if "removals_all" not in VIEWS[view].features else None
    leaving = {at for kind, at in mine if kind != "remove_from_cart" or counted is None}
    found |= {at + 1 + w for at in leaving for w in windows}
    if counted is None:
        found |= {number(t["cancelled_at"]) + 1 for t in taken}
    return found


def number(moment: datetime) -> int:
    return (moment - day(0)).days


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("view", ACTIVITY)
def test_rows_equal_a_count_at_every_change_in_order(view: str, seed: int) -> None:
    events, taken = log(seed)
    found, true = rows_of_log(seed)[view], true_rows(view, events, taken)
    assert len(found) == len(true)
    for row, of in zip(found, true, strict=True):
        assert row == of


def values(view: str, events: list[Event], taken: list[Event], *names: str) -> list[tuple[Any, ...]]:
    """Of each row the days from the start to its stamp, and some values."""
    rows = rows_of(events, taken)[view]
    return [(number(row["event_timestamp"]), *(row[name] for name in names)) for row in rows]


def test_a_row_is_written_only_where_a_value_changes() -> None:
    twice = [event("u", "i", "view", 0.5), event("u", "i", "view", 0.6)]
    assert values("user_activity_v1", twice, [], "views_1d", "views_7d", "views_30d", "views_all") == [
        (1, 2, 2, 2, 2), (2, 0, 2, 2, 2), (8, 0, 0, 2, 2), (31, 0, 0, 0, 2),
    ]  # fmt: skip


def test_a_removal_is_seen_by_v1_only_when_it_happens() -> None:
    removed = [event("u", "i", "remove_from_cart", 3.5)]
    assert values("user_activity_v1", removed, [], "carts_all") == [(4, 0)]
    assert values("user_activity_v2", removed, [], "removals_30d") == [(4, 1), (5, 1), (11, 1), (34, 0)]


def test_an_event_at_midnight_counts_in_the_day_that_begins() -> None:
    (first, *_) = values("item_activity_v2", [event("u", "i", "view", 3)], [])
    assert first == (4,)


def test_money_is_in_whole_minor_units_and_ignores_what_has_no_price() -> None:
    events = [
        event("u", "i", "purchase", 0.1, price=0.29, quantity=3),  # 0.29 * 100 is 28.999999999999996
        event("u", "i", "view", 0.2, price=1.0),
        event("u", "i", "purchase", 0.3, price=None, quantity=5),
    ]
    (first, *_) = values("user_activity_v2", events, [], "spend_all", "spend_30d", "mean_price_all", "priced_all")
    assert first == (1, 87, 87, (29 + 100) / 2, 2)


def test_mean_price_and_last_purchase_are_missing_before_any() -> None:
    (first, *_) = values(
        "user_activity_v2", [event("u", "i", "view", 0.1, price=None)], [], "mean_price_all", "last_purchase_epoch_s"
    )
    assert first == (1, None, None)


def test_what_is_taken_back_goes_from_the_windows_that_hold_the_purchase_and_comes_back_in_none() -> None:
    bought = event("u", "i", "purchase", 0.5, price=2.0, quantity=3)
    taken = [taken_back(bought, 8.5, 1, False), taken_back(bought, 9.5, 2, True)]
    names = ("purchases_7d", "purchases_30d", "purchases_all", "spend_7d", "spend_30d", "spend_all")
    assert values("user_activity_v2", [bought], taken, *names) == [
        (1, 1, 1, 1, 600, 600, 600), (2, 1, 1, 1, 600, 600, 600), (8, 0, 1, 1, 0, 600, 600),
        (9, 0, 1, 1, 0, 400, 400), (10, 0, 0, 0, 0, 0, 0), (31, 0, 0, 0, 0, 0, 0),
    ]  # fmt: skip
    assert {row[1:] for row in values("user_activity_v1", [bought], taken, "purchases_all", "spend_all")} == {(1, 600)}


def test_what_is_taken_back_on_its_day_never_counts() -> None:
    bought = event("u", "i", "purchase", 0.5, price=2.0)
    rows = values("item_activity_v2", [bought], [taken_back(bought, 0.7, 1, True)], "purchases_1d", "revenue_all")
    assert rows == [(1, 0, 0), (2, 0, 0), (8, 0, 0), (31, 0, 0)]


def test_rates_are_smoothed() -> None:
    kinds = ["view", "view", "click", "add_to_cart"]
    events = [event("u", "i", kind, 0.1 + place / 10) for place, kind in enumerate(kinds)]
    names = ("cart_rate_30d", "conversion_30d", "trend_7d_30d")
    (first, *_) = values("item_activity_v2", events, [], *names)
    assert first == (1, 2 / 23, 1 / 23, (4 / 7 + 0.1) / (4 / 30 + 0.1))


def test_a_pair_seen_again_in_a_window_is_one_until_the_last_event_leaves() -> None:
    events = [event("u", "i", "view", 0.5), event("u", "i", "view", 5.5), event("u", "j", "view", 6.5)]
    rows = {t: n for t, *n in values("user_activity_v2", events, [], "distinct_items_7d", "distinct_items_all")}
    assert (rows[1], rows[8], rows[13], rows[14]) == ([1, 1], [2, 2], [1, 2], [0, 2])


def test_a_pair_whose_last_event_was_at_the_windows_first_moment_is_still_the_same() -> None:
    events = [event("u", "i", "view", 3), event("u", "i", "view", 10)]
    assert (11, 1) in values("user_activity_v2", events, [], "distinct_items_7d")


@pytest.mark.parametrize("view", ACTIVITY)
def test_values_change_at_no_other_midnight(view: str) -> None:
    events, taken = log(7, n=40)
    of = dict(zip(("user_id", "item_id", "category"), ("u1", "i2", "shoes"), strict=True))
    of = {key: of[key] for key in VIEWS[view].keys}
    mine, back = ([e for e in log if all(e[k] == v for k, v in of.items())] for log in (events, taken))
    values = [promised(view, mine, back, of, day(n)) for n in range(END + 1)]
    assert {n for n in range(1, END + 1) if values[n] != values[n - 1]} <= stamps(view, mine, back)


def test_a_timeline_goes_on_exactly_from_its_arrays() -> None:
    events, taken = log(3)
    whole = timelines.new()
    steps = [whole.step(*step) for step in timelines.days(whole, events, taken)]
    first = timelines.new()
    for step in timelines.days(first, events, taken, end=25):
        first.step(*step)
    arrays = {name: array.copy() for name, array in first.arrays().items()}
    second = Timeline.restore(arrays, *(Codes(codes.ids) for codes in (first.users, first.items, first.categories)))
    rest = timelines.run(second, timelines.days(second, events, taken, start=25))
    assert rest == timelines.plain(steps[25:])
    assert len(second.recent_days()) == 0


def test_arrays_of_a_new_timeline_are_nothing_yet() -> None:
    codes = [Codes() for _ in range(3)]
    timeline = Timeline.restore(timelines.new().arrays(), *codes)
    assert timeline.day is None


@pytest.mark.parametrize("seed", SEEDS)
def test_adopting_what_late_events_touch_equals_having_known_them(seed: int) -> None:
    """u1 did more than was known at first, and something that was known was withdrawn."""
    events, taken = log(seed)
    late = [event("u1", "i2", "purchase", 3.3, category="shoes"), event("u1", "new", "view", 39.2, category="caps")]
    gone = [e for e in events if e["user_id"] == "u2"][::7]
    late_taken = [taken_back(late[0], 33, 1, True)]
    after = [e for e in events if e not in gone] + late
    taken_after = [t for t in taken if not any(t["timestamp"] == g["timestamp"] for g in gone)] + late_taken
    users, items = {"u1", "u2"}, {e["item_id"] for e in [*late, *gone]}
    known, right = timelines.new(), timelines.new()
    for step in timelines.days(known, events, taken, end=40):
        known.step(*step)
    some = Timeline(known.users, known.items, known.categories)
    for step in timelines.days(some, touched(after, users, items), touched(taken_after, users, items), end=40):
        some.step(*step)
    for step in timelines.days(right, after, taken_after, end=40):
        right.step(*step)
    known.adopt(some, codes_of(known.users, users), codes_of(known.items, items))
    assert known.recent_days().cast(RECENT_DAYS) == right.recent_days().cast(RECENT_DAYS)
    rest = timelines.run(known, timelines.days(known, after, taken_after, start=40))
    assert rest == timelines.run(right, timelines.days(right, after, taken_after, start=40))


def test_a_pair_of_which_all_is_withdrawn_begins_anew() -> None:
    withdrawn, again = event("u", "i", "view", 0.5, category="hats"), event("u", "i", "click", 41.5, category="hats")
    other = event("u", "j", "view", 1.5)
    known, right = timelines.new(), timelines.new()
    for step in timelines.days(known, [withdrawn, other], end=40):
        known.step(*step)
    some = Timeline(known.users, known.items, known.categories)
    for timeline in (some, right):
        for step in timelines.days(timeline, [other], end=40):
            timeline.step(*step)
    known.adopt(some, codes_of(known.users, {"u"}), codes_of(known.items, {"i"}))
    found, true = (timelines.run(t, timelines.days(t, [again], start=40, end=45)) for t in (known, right))
    assert found == true


def touched(rows: list[Event], users: set[str], items: set[str]) -> list[Event]:
    return [e for e in rows if e["user_id"] in users or e["item_id"] in items]


def codes_of(codes: Codes, ids: set[str]) -> Any:
    return codes.encode(pa.array(sorted(ids)))


@pytest.mark.parametrize("until", [12, 40])
def test_a_timeline_of_published_rows_goes_on_like_the_whole(until: int) -> None:
    events, taken = log(4)
    users = ["u0", "u2"]
    whole = timelines.new()
    before = timelines.run(whole, timelines.days(whole, events, taken, end=until))
    recent = whole.recent_days().cast(RECENT_DAYS)
    after = timelines.run(whole, timelines.days(whole, events, taken, start=until))
    few = Timeline.of_rows(
        {view: newest(before[view], users) for view in USER_VIEWS}, of_users(recent, users), FIRST + until
    )
    mine = [e for e in events if e["user_id"] in users]
    back = [t for t in taken if t["user_id"] in users]
    found = timelines.run(few, timelines.days(few, mine, back, start=until))
    assert set(found) == set(USER_VIEWS)
    assert found == {view: of_users(after[view], users) for view in USER_VIEWS}


def test_the_sum_of_prices_comes_back_whole_from_its_mean() -> None:
    """The mean of 7 prices that add up to 61 cents, times 7, is less than 61."""
    prices = [0.09] * 6 + [0.07]
    assert int(61 / 7 * 7) == 60
    events = [event("u", "i", "view", 0.1 + place / 10, price=price) for place, price in enumerate(prices)]
    whole = timelines.new()
    before = timelines.run(whole, timelines.days(whole, events, end=1))
    few = Timeline.of_rows(
        {view: before[view] for view in USER_VIEWS}, whole.recent_days().cast(RECENT_DAYS), FIRST + 1
    )
    later = [event("u", "i", "view", 1.5, price=0.01)]
    found = timelines.run(few, timelines.days(few, later, start=1, end=2))
    assert found["user_activity_v2"]["mean_price_all"].to_pylist() == [62 / 8]


USER_VIEWS = (
    "user_activity_v1", "user_item_activity_v1", "user_activity_v2", "user_item_activity_v2",
    "user_category_activity_v1", "user_recent_items_v1",
)  # fmt: skip


def newest(rows: pa.Table, users: list[str]) -> pa.Table:
    """The newest row of each entity of some users."""
    keys = [name for name in ("user_id", "item_id", "category") if name in rows.column_names]
    last = {tuple(row[k] for k in keys): row for row in of_users(rows, users).to_pylist()}
    return pa.Table.from_pylist(list(last.values()), rows.schema)


def of_users(rows: pa.Table, users: list[str]) -> pa.Table:
    return rows.filter(pc.is_in(rows["user_id"], pa.array(users))).combine_chunks()


def test_advancing_over_empty_days_ends_when_nothing_changes_more() -> None:
    timeline = timelines.new()
    for step in timelines.days(timeline, [event("u", "i", "view", 0.5)], end=1):
        timeline.step(*step)
    rows = timelines.plain(timeline.advance(FIRST + 100_000))
    assert rows["user_activity_v2"]["event_timestamp"].to_pylist() == [day(2), day(8), day(31)]
    assert timeline.day == FIRST + 100_000


def test_recent_days_are_net_and_as_made_and_end_after_thirty() -> None:
    bought = event("u", "i", "purchase", 0.5, price=2.0, quantity=3, category="hats")
    events = [bought, event("u", "i", "view", 4.5, price=None), event("u", "j", "click", 5.5)]
    timeline = timelines.new()
    steps = list(timelines.days(timeline, events, [taken_back(bought, 6.5, 2, False)], end=31))
    for step in steps[:30]:
        timeline.step(*step)
    rows = timeline.recent_days().cast(RECENT_DAYS).to_pylist()
    assert [(r["item_id"], r["category"], (r["day"] - day(0).date()).days) for r in rows] == [
        ("i", "hats", 0), ("i", None, 4), ("j", None, 5),
    ]  # fmt: skip
    numbers = {name: rows[0][name] for name in ("views", "purchases", "spend", "cents", "priced")}
    assert numbers == {"views": 0, "purchases": 1, "spend": 200, "cents": 200, "priced": 1}
    assert (rows[0]["purchases_made"], rows[0]["spend_made"]) == (1, 600)
    assert rows[0]["last_event_epoch_s"] == int(day(0.5).timestamp())
    timeline.step(*steps[30])
    assert len(timeline.recent_days()) == 2


def test_recent_days_have_one_row_for_each_category_of_a_pair() -> None:
    events = [event("u", "i", "view", 0.1 + place / 10, category=c) for place, c in enumerate(["a", "b", "a"])]
    timeline = timelines.new()
    for step in timelines.days(timeline, events, end=1):
        timeline.step(*step)
    rows = timeline.recent_days().cast(RECENT_DAYS).to_pylist()
    assert sorted((row["category"], row["views"]) for row in rows) == [("a", 2), ("b", 1)]


@pytest.mark.parametrize("cut", [10, 40])
def test_changing_the_future_leaves_the_past_equal(cut: int) -> None:
    events, taken = log(2)
    other_events = [e for e in events if e["timestamp"] < day(cut)]
    later = [e | {"timestamp": e["timestamp"] + timedelta(days=cut)} for e in random_events(5, 40)]
    other_taken = [t for t in taken if t["cancelled_at"] < day(cut)]
    other = rows_of(other_events + later, other_taken + random_taken_back(5, later))
    for view, rows in rows_of(events, taken).items():
        before = [row for row in rows if row["event_timestamp"] <= day(cut)]
        assert before
        assert before == [row for row in other[view] if row["event_timestamp"] <= day(cut)]


def test_rows_have_the_views_types() -> None:
    timeline = timelines.new()
    (rows, *_) = [timeline.step(*s) for s in timelines.days(timeline, [event("u", "i", "view", 0.5)], end=1)]
    for view, table in rows.items():
        plain = pa.schema([f.with_type(pa.string()) if f.name in VIEWS[view].keys else f for f in table.schema])
        assert plain == VIEWS[view].schema


def test_days_must_follow_on_each_other() -> None:
    timeline = timelines.new()
    timeline.step(DayEvents.empty(5), TakenBack.empty(5))
    with pytest.raises(ValueError, match="day 6 comes next"):
        timeline.step(DayEvents.empty(7), TakenBack.empty(7))
    with pytest.raises(ValueError, match="day 5 is over"):
        list(timeline.advance(5))


def test_what_was_never_bought_cannot_be_taken_back() -> None:
    timeline = timelines.new()
    bought = event("u", "i", "purchase", 0.5)
    with pytest.raises(InputError, match="never bought"):
        for step in timelines.days(timeline, [], [taken_back(bought, 1, 1, True)], end=3):
            timeline.step(*step)
