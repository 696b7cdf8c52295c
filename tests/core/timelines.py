"""Logs for the tests of the timeline, and its rows as dictionaries."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core.features.change_points import Timeline
from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import DayEvents, TakenBack
from pipelines.core.features.feature_views import KINDS, VIEWS
from tests.feature_data import START, Event, cents

FIRST = int(START.timestamp()) // 86_400
END = 95
"""Days after the start at which every window of an event on day 49 is over."""

Rows = dict[str, list[dict[str, Any]]]
Step = tuple[DayEvents, TakenBack]


def new() -> Timeline:
    """A timeline of nothing."""
    return Timeline(Codes(), Codes(), Codes())


def days(
    timeline: Timeline, events: Iterable[Event], taken: Iterable[Event] = (), start: int = 0, end: int = END
) -> Iterator[Step]:
    """What happens on each day from ``start`` to before ``end`` (after START), in the codes of ``timeline``."""
    events, taken = sorted(events, key=lambda e: e["timestamp"]), list(taken)
    for day in range(FIRST + start, FIRST + end):
        yield (
            _events(timeline, day, [e for e in events if _day(e["timestamp"]) == day]),
            _taken(timeline, day, [t for t in taken if _day(t["cancelled_at"]) == day]),
        )


def run(timeline: Timeline, steps: Iterable[Step]) -> dict[str, pa.Table]:
    """All rows of all steps, in the exact types of the views."""
    return plain([timeline.step(*step) for step in steps])


def plain(steps: Iterable[dict[str, pa.Table]]) -> dict[str, pa.Table]:
    """The rows of several steps, in the exact types of the views."""
    parts: dict[str, list[pa.Table]] = {}
    for step in steps:
        for view, rows in step.items():
            parts.setdefault(view, []).extend([rows.cast(VIEWS[view].schema)] if len(rows) else [])
    return {view: pa.concat_tables([VIEWS[view].schema.empty_table(), *tables]) for view, tables in parts.items()}


def _day(moment: Any) -> int:
    return int(moment.timestamp()) // 86_400


def _events(timeline: Timeline, day: int, events: list[Event]) -> DayEvents:
    kinds = list(KINDS.values())
    return DayEvents(
        day,
        *_codes(timeline, events),
        np.array([kinds.index(e["event_type"]) for e in events], np.int8),
        np.array([cents(e) for e in events], np.int64),
        np.array([e["price"] is not None for e in events], bool),
        np.array([e["quantity"] for e in events], np.int64),
        np.array([int(e["timestamp"].timestamp()) for e in events], np.int64),
    )


def _taken(timeline: Timeline, day: int, taken: list[Event]) -> TakenBack:
    return TakenBack(
        day,
        *_codes(timeline, taken),
        np.array([_day(t["timestamp"]) for t in taken], np.int32),
        np.array([cents(t) for t in taken], np.int64),
        np.array([t["quantity"] for t in taken], np.int64),
        np.array([t["whole"] for t in taken], bool),
    )


def _codes(timeline: Timeline, rows: list[Event]) -> Iterator[Any]:
    columns = (timeline.users, "user_id"), (timeline.items, "item_id"), (timeline.categories, "category")
    return (codes.encode(pa.array([row[name] for row in rows], pa.string())) for codes, name in columns)
