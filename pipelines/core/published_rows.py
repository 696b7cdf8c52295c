"""The state of a timeline of a few users, from rows that were published."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.core import recent_items
from pipelines.core.codes import Codes
from pipelines.core.columns import Col
from pipelines.core.day_events import Int32, Int64
from pipelines.core.day_sums import CENTS, PRICED, SPEND
from pipelines.core.entities import USER, USER_CATEGORY, USER_ITEM, Entities
from pipelines.core.feature_values import NET_VIEWS, RECENT_VIEW
from pipelines.core.feature_views import KINDS
from pipelines.core.recent_days import days_of
from pipelines.core.running_sums import DAY_S, NEVER, SPANS
from pipelines.core.timeline_state import State

OF_USERS: Final = (USER_ITEM, USER_CATEGORY, USER)
"""The kinds of entities that a user's rows tell all of."""
_ALL: Final = SPANS.index(None)


def state(rows: Mapping[str, pa.Table], recent: pa.Table, until: int) -> State:
    """See Timeline.of_rows. All time comes from the rows, windows from the recent days."""
    entities = Entities(Codes(), Codes(), Codes())
    found = State(entities, until, days=days_of(recent, entities))
    places = {kind: _places(kind, rows[NET_VIEWS[kind]], entities) for kind in OF_USERS}
    users = entities.users.encode(rows[RECENT_VIEW][Col.USER_ID])
    items = recent_items.of_lists(rows[RECENT_VIEW]["recent_items"], entities.items)
    found.grow()
    for kind in OF_USERS:
        _fill_all_time(found, kind, places[kind], rows[NET_VIEWS[kind]])
        for span, window in enumerate(SPANS[:_ALL]):
            for day, sums in found.days.items():
                if day >= until - window:
                    found.sums[kind].add(sums.group(kind, entities), (span,))
    found.last_purchase[USER][places[USER]] = _numbers(rows[NET_VIEWS[USER]], "last_purchase_epoch_s", NEVER)
    found.recent[:, users] = items.T
    _count_distinct(found, until)
    return found


def _places(kind: str, rows: pa.Table, entities: Entities) -> Int32:
    users = entities.users.encode(rows[Col.USER_ID])
    if kind == USER_ITEM:
        return entities.pairs.add(users, entities.items.encode(rows[Col.ITEM_ID]))
    if kind == USER_CATEGORY:
        return entities.user_categories.add(users, entities.categories.encode(rows[Col.CATEGORY]))
    return users


def _fill_all_time(found: State, kind: str, places: Int32, rows: pa.Table) -> None:
    counts = {place: _numbers(rows, f"{name}_all") for place, name in enumerate(KINDS)}
    money = {}
    if kind == USER:
        counts[PRICED] = _numbers(rows, "priced_all")
        mean = rows["mean_price_all"].fill_null(0).to_numpy()
        money[CENTS] = np.rint(mean * counts[PRICED]).astype(np.int64)  # exact: a mean is right to 53 bits
    if kind != USER_ITEM:
        money[SPEND] = _numbers(rows, "spend_all")
    sums = found.sums[kind]
    for place, numbers in counts.items():
        sums.counts[_ALL, place, places] = numbers
    for place, numbers in money.items():
        sums.money[_ALL, place, places] = numbers
    sums.last[places] = _numbers(rows, "last_event_epoch_s", NEVER)


def _count_distinct(found: State, until: int) -> None:
    """The items of each user within each span, from the last event of each pair."""
    pairs = found.entities.pairs
    last = found.sums[USER_ITEM].last[: len(pairs)]
    users = pairs.keys >> 32
    distinct = found.distinct[USER]
    for span, window in enumerate(SPANS):
        inside = last > NEVER if window is None else last >= (until - window) * DAY_S
        distinct[span] += np.bincount(users[inside], minlength=distinct.shape[1]).astype(np.int32)


def _numbers(rows: pa.Table, name: str, missing: int = 0) -> Int64:
    return rows[name].cast(pa.int64()).fill_null(missing).to_numpy()
