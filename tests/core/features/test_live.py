"""What is pushed live is what the batch writes for the coming midnight."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.core.columns import Col
from pipelines.core.features import live
from pipelines.core.features.change_points import Timeline
from pipelines.core.features.feature_views import VIEWS
from tests.core import timelines
from tests.feature_data import START, Event, day, event, event_table, random_events, random_taken_back
from tests.feature_data import taken_back as back

Rows = dict[str, dict[tuple[str, ...], dict[str, Any]]]
"""View -> keys -> newest row."""


def batch(events: Iterable[Event], taken: Iterable[Event], until: int) -> tuple[Timeline, Rows]:
    """The batch up to the midnight ``until`` days after the start."""
    timeline = timelines.new()
    found: Rows = {view: {} for view in live.LIVE}
    for step in timelines.days(timeline, events, taken, end=until):
        keep(found, timeline.step(*step))
    return timeline, found


def keep(found: Rows, step: dict[str, pa.Table]) -> None:
    for view in live.LIVE:
        for row in step[view].cast(VIEWS[view].schema).to_pylist():
            found[view][tuple(row[key] for key in VIEWS[view].keys)] = row


def pushed(events: list[Event], taken: list[Event], until: int, users: set[str]) -> tuple[Rows, dict[str, pa.Table]]:
    """The batch up to ``until``, and on top of it what the events of ``users`` since then give."""
    timeline, known = batch(events, taken, until)
    published = {
        view: pa.Table.from_pylist([r for k, r in rows.items() if k[0] in users], VIEWS[view].schema)
        for view, rows in known.items()
    }
    recent = timeline.recent_days()
    recent = recent.filter(pc.is_in(recent[Col.USER_ID], pa.array(sorted(users))))
    mine = event_table(e for e in events if e["user_id"] in users and e["timestamp"] >= day(until))
    return known, live.rows(Timeline.of_rows(published, recent, timelines.FIRST + until), mine)


def without_stamps(rows: Rows, users: set[str]) -> Rows:
    stamps = (Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP)
    return {
        view: {k: {n: v for n, v in row.items() if n not in stamps} for k, row in of_view.items() if k[0] in users}
        for view, of_view in rows.items()
    }


@pytest.mark.parametrize("seed", range(6))
def test_live_rows_equal_the_batch_that_includes_their_days(seed: int) -> None:
    until, end = 45, 50 if seed % 2 else 46
    events = random_events(seed, 300, days=end, users=6, items=8)
    for place, one in enumerate(events):
        one["category"] = [None, "c0", "c1"][int(one["item_id"][1:]) % 3]
        if one["timestamp"] >= day(until) and place % 4 == 0:
            one |= {"user_id": "new user", "item_id": "new item", "category": "new category"}
    taken = [t for t in random_taken_back(seed, events) if t["cancelled_at"] < day(until)]
    users = {e["user_id"] for e in events if e["timestamp"] >= day(until)}
    last = max(e["timestamp"] for e in events if e["user_id"] in users)
    known, rows = pushed(events, taken, until, users)
    keep(known, rows)
    _, want = batch(events, taken, (last - START) // timedelta(days=1) + 1)
    assert without_stamps(known, users) == without_stamps(want, users)


def test_live_row_is_stamped_with_the_users_last_event() -> None:
    events = [event("u", "i", "view", 1.5), event("u", "i", "view", 10.25), event("u", "j", "view", 10.5)]
    _, rows = pushed(events, [], 10, {"u"})
    assert {t for table in rows.values() for t in table[Col.EVENT_TIMESTAMP].to_pylist()} == {day(10.5)}


def test_live_row_that_the_batch_stamps_earlier_has_the_batchs_stamp() -> None:
    events = [event("u", "old", "view", 3.5), event("u", "i", "view", 10.25), event("u", "j", "view", 12.5)]
    _, rows = pushed(events, [], 10, {"u"})
    pairs = rows["user_item_activity_v2"].to_pylist()
    stamps = {row["item_id"]: row["event_timestamp"] for row in pairs}
    assert stamps == {"old": day(11), "i": day(12), "j": day(12.5)}  # old left 7d at 11, i left 1d at 12


def test_live_rows_leave_out_what_does_not_change() -> None:
    events = [event("u", "old", "view", 3.5), event("u", "i", "view", 6.5)]
    _, rows = pushed(events, [], 6, {"u"})
    assert rows["user_item_activity_v2"]["item_id"].to_pylist() == ["i"]
    assert len(rows["user_category_activity_v1"]) == 0


def test_live_rows_after_many_empty_days_cost_no_step_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    real = Timeline.step

    def step(self: Timeline, events: Any, taken: Any) -> dict[str, pa.Table]:
        steps.append(events.day)
        return real(self, events, taken)

    monkeypatch.setattr(Timeline, "step", step)
    _, rows = pushed([event("u", "i", "view", 1.5), event("u", "i", "view", 2000.5)], [], 3, {"u"})
    assert rows["user_activity_v2"]["views_all"].to_pylist() == [2]
    assert len(steps) < 3 + 40


def test_cancellation_before_the_batch_leaves_the_window_with_its_purchase() -> None:
    bought = event("u", "i", "purchase", 1.5)
    events = [bought, event("u", "j", "purchase", 2.5), event("u", "i", "view", 8.5)]
    _, rows = pushed(events, [back(bought, 3.5, 1, True)], 7, {"u"})
    user = rows["user_activity_v2"].to_pylist()[0]
    assert [user[f"purchases_{w}"] for w in ("7d", "30d", "all")] == [1, 1, 1]


def test_first_versions_count_purchases_as_made_and_no_removals() -> None:
    bought = event("u", "i", "purchase", 1.5, price=2.0)
    events = [bought, event("u", "i", "remove_from_cart", 6.5), event("u", "i", "view", 8.5)]
    _, rows = pushed(events, [back(bought, 3.5, 1, True)], 7, {"u"})
    (user,), (pair,) = (rows[f"{kind}_activity_v1"].to_pylist() for kind in ("user", "user_item"))
    assert [user[f"purchases_{w}"] for w in ("1d", "7d", "30d", "all")] == [0, 0, 1, 1]
    assert (user["spend_30d"], user["spend_all"], user["views_1d"]) == (200, 200, 1)
    assert [pair[f"purchases_{w}"] for w in ("7d", "30d")] == [0, 1]
    (net,) = rows["user_activity_v2"].to_pylist()
    assert (net["purchases_30d"], net["spend_all"], net["removals_7d"]) == (0, 0, 1)
