"""The state of a timeline of a few users, from rows that were published."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.features import recent_items
from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import Int32, Int64
from pipelines.core.features.day_sums import CENTS, MADE, PRICED, SPEND, SPEND_MADE
from pipelines.core.features.entities import USER, USER_CATEGORY, USER_ITEM, Entities
from pipelines.core.features.feature_values import MADE_VIEWS, NET_VIEWS, RECENT_VIEW
from pipelines.core.features.feature_views import KINDS
from pipelines.core.features.recent_days import days_of
from pipelines.core.features.running_sums import DAY_S, NEVER, SPANS, RunningSums
from pipelines.core.features.timeline_state import State

OF_USERS: Final = (USER_ITEM, USER_CATEGORY, USER)
"""The kinds of entities that a user's rows tell all of."""
_ALL: Final = SPANS.index(None)


def state(rows: Mapping[str, pa.Table], recent: pa.Table, until: int) -> State:
    """See Timeline.of_rows. All time comes from the rows, windows from the recent days."""
    entities = Entities(Codes(), Codes(), Codes())
    found = State(entities, until, days=days_of(recent, entities))
    places = {kind: _places(kind, rows[NET_VIEWS[kind]], entities) for kind in OF_USERS}
    made = {kind: _places(kind, rows[MADE_VIEWS[kind]], entities) for kind in (USER, USER_ITEM)}
    users = entities.users.encode(rows[RECENT_VIEW][Col.USER_ID])
    items = recent_items.of_lists(rows[RECENT_VIEW]["recent_items"], entities.items)
    found.grow()
    for kind in OF_USERS:
        _fill_all_time(found.sums[kind], kind, places[kind], rows[NET_VIEWS[kind]])
        _fill_windows(found, kind, until)
    for kind, at in made.items():
        found.sums[kind].counts[at, _ALL, MADE] = _numbers(rows[MADE_VIEWS[kind]], "purchases_all")
    found.sums[USER].money[made[USER], _ALL, SPEND_MADE] = _numbers(rows[MADE_VIEWS[USER]], "spend_all")
    found.last_purchase[USER][places[USER]] = _numbers(rows[NET_VIEWS[USER]], "last_purchase_epoch_s", NEVER)
    found.recent[users] = items
    _count_distinct(found, until)
    return found


def _places(kind: str, rows: pa.Table, entities: Entities) -> Int32:
    users = entities.users.encode(rows[Col.USER_ID])
    if kind == USER_ITEM:
        return entities.pairs.add(users, entities.items.encode(rows[Col.ITEM_ID]))
    if kind == USER_CATEGORY:
        return entities.user_categories.add(users, entities.categories.encode(rows[Col.CATEGORY]))
    return users


def _fill_all_time(sums: RunningSums, kind: str, places: Int32, rows: pa.Table) -> None:
    for column, name in enumerate(KINDS):
        sums.counts[places, _ALL, column] = _numbers(rows, f"{name}_all")
    if kind != USER_ITEM:
        sums.money[places, _ALL, SPEND] = _numbers(rows, "spend_all")
    if kind == USER:
        priced, mean = _numbers(rows, "priced_all"), rows["mean_price_all"].fill_null(0).to_numpy()
        sums.counts[places, _ALL, PRICED] = priced
        sums.money[places, _ALL, CENTS] = np.rint(mean * priced)  # exact: the mean is right to 53 bits
    sums.last[places] = _numbers(rows, "last_event_epoch_s", NEVER)


def _fill_windows(found: State, kind: str, until: int) -> None:
    sums = found.sums[kind]
    for day, of_day in found.days.items():
        group = of_day.group(kind, found.entities)
        for span, window in enumerate(SPANS):
            if window is not None and day >= until - window:
                sums.counts[group.places, span] += group.counts.T
                sums.money[group.places, span] += group.money.T


def _count_distinct(found: State, until: int) -> None:
    """The items of each user within each span, from the last event of each pair."""
    pairs, distinct = found.entities.pairs.keys, found.distinct[USER]
    last = found.sums[USER_ITEM].last[: len(pairs)]
    for span, window in enumerate(SPANS):
        inside = last > NEVER if window is None else last >= (until - window) * DAY_S
        distinct[:, span] = np.bincount(pairs[inside] >> 32, minlength=len(distinct))


def _numbers(rows: pa.Table, name: str, missing: int = 0) -> Int64:
    return rows[name].cast(pa.int64()).fill_null(missing).to_numpy()
