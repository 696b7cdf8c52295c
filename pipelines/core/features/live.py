"""What the nightly batch will write for the coming midnight if nothing more happens: rows of users, from their events.

A row is stamped with its own midnight or its user's last event, whichever is earlier: newer than the last nightly row,
never newer than the nightly row that will take its place.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import UTC_US, Col
from pipelines.core.features.change_points import Timeline
from pipelines.core.features.coded_days import DAY_US, CodedRows, Ids
from pipelines.core.features.day_events import TakenBack
from pipelines.core.features.feature_views import VIEWS

LIVE: Final = (
    "user_activity_v1",
    "user_item_activity_v1",
    "user_activity_v2",
    "user_item_activity_v2",
    "user_category_activity_v1",
    "user_recent_items_v1",
)
"""The views that are pushed live."""


def rows(timeline: Timeline, events: pa.Table) -> dict[str, pa.Table]:
    """The newest row of every entity that changes until the midnight after the last of ``events``: view -> rows.

    ``events``: prepared interactions of the timeline's users since its midnight, at least one, in order of timestamp
    and event_id; bots' don't count. ``timeline`` moves on to that midnight.
    """
    coded = CodedRows.of(events, Ids(timeline.users, timeline.items, timeline.categories))
    days = coded.time // DAY_US
    steps: list[Mapping[str, pa.Table]] = []
    for day in np.unique(days).tolist():
        steps += timeline.advance(day)
        steps.append(timeline.step(coded[days == day].events(day), TakenBack.empty(day)))
    last_day = int(pc.max(events[Col.TIMESTAMP]).cast(pa.int64()).as_py()) // DAY_US
    steps += timeline.advance(last_day + 1)
    last = events.group_by(Col.USER_ID).aggregate([(Col.TIMESTAMP, "max")])
    return {view: _stamped(_newest(view, [step[view] for step in steps]), last) for view in LIVE}


def _newest(view: str, tables: Sequence[pa.Table]) -> pa.Table:
    """Of rows that follow on each other in time the last one of each entity."""
    keys, schema = list(VIEWS[view].keys), VIEWS[view].schema
    some = [_typed(table, schema) for table in tables if len(table)]
    if len(some) < 2:
        return some[0] if some else schema.empty_table()
    found = pa.concat_tables(some)
    numbered = found.select(keys).append_column("n", pa.array(np.arange(len(found))))
    return found.take(numbered.group_by(keys).aggregate([("n", "max")])["n_max"])


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` cast to ``schema``. Most columns have their type already, and a cast of each costs more than a row."""
    columns = (table[field.name] for field in schema)
    return pa.table(
        [c if c.type.equals(f.type) else c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
    )


def _stamped(table: pa.Table, last: pa.Table) -> pa.Table:
    """``table`` with each row's stamp no later than its user's ``last`` event."""
    place = pc.index_in(table[Col.USER_ID], last[Col.USER_ID].combine_chunks())
    of_user = last[f"{Col.TIMESTAMP}_max"].cast(pa.int64()).combine_chunks().take(place.combine_chunks())
    own = table[Col.EVENT_TIMESTAMP].cast(pa.int64()).combine_chunks()
    stamps = pc.min_element_wise(own, of_user).cast(UTC_US)
    for name in (Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), stamps)
    return table
