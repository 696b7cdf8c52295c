"""Let a timeline take over what another one knows of some users and items."""

import numpy as np
from numpy.typing import NDArray

from pipelines.core.features.day_events import Int32, Int64
from pipelines.core.features.day_sums import DaySums, in_order, joined
from pipelines.core.features.entities import ITEM, USER, USER_CATEGORY, USER_ITEM
from pipelines.core.features.pair_index import PairIndex
from pipelines.core.features.running_sums import NEVER
from pipelines.core.features.timeline_state import State


def adopt(state: State, other: State, users: Int32, items: Int32) -> None:
    """See Timeline.adopt."""
    ours, theirs = state.entities, other.entities
    adopted = np.zeros(ours.count(USER), bool)
    adopted[users] = True
    places = {
        USER_ITEM: _places(ours.pairs, theirs.pairs, adopted),
        USER_CATEGORY: _places(ours.user_categories, theirs.user_categories, adopted),
    }
    state.grow()
    other.grow()
    for kind, index in ((USER_ITEM, ours.pairs), (USER_CATEGORY, ours.user_categories)):
        _forget(state, kind, np.flatnonzero(adopted[_users(index)]))
        _copy(state, other, kind, places[kind], np.flatnonzero(places[kind] >= 0))
    for kind, some in ((USER, users), (ITEM, items)):
        _copy(state, other, kind, np.arange(ours.count(kind)), some)
        state.distinct[kind][some] = other.distinct[kind][some]
        state.last_purchase[kind][some] = other.last_purchase[kind][some]
    state.recent[users] = other.recent[users]
    _adopt_days(state, other, adopted, places)
    kept, taken = ~adopted[state.taken.user], adopted[other.taken.user]
    state.taken = state.taken.take(kept).append(other.taken.take(taken))


def _places(ours: PairIndex, theirs: PairIndex, adopted: NDArray[np.bool_]) -> Int64:
    """Our place of each of their pairs, giving one to those that have none; -1 for pairs of other users."""
    some = np.flatnonzero(adopted[_users(theirs)])
    places = np.full(len(theirs), -1, np.int64)
    places[some] = ours.add(*theirs.codes(some))
    return places


def _users(index: PairIndex) -> Int64:
    return index.keys >> 32


def _forget(state: State, kind: str, places: Int64) -> None:
    sums = state.sums[kind]
    sums.counts[places] = 0
    sums.money[places] = 0
    sums.last[places] = NEVER


def _copy(state: State, other: State, kind: str, places: Int64, some: Int64 | Int32) -> None:
    """Take their sums of ``some`` of their entities to our places."""
    ours, theirs = state.sums[kind], other.sums[kind]
    ours.counts[places[some]] = theirs.counts[some]
    ours.money[places[some]] = theirs.money[some]
    ours.last[places[some]] = theirs.last[some]


def _adopt_days(state: State, other: State, adopted: NDArray[np.bool_], places: dict[str, Int64]) -> None:
    days = {}
    for day in sorted({*state.days, *other.days}):
        ours, theirs = state.days.get(day, DaySums.empty()), other.days.get(day, DaySums.empty())
        ours = ours.take(~adopted[state.entities.pairs.codes(ours.pairs)[0]])
        theirs = theirs.take(adopted[other.entities.pairs.codes(theirs.pairs)[0]])
        rows = in_order(joined([ours, _moved(theirs, places)]), state.entities)
        if len(rows):
            days[day] = rows
    state.days = days


def _moved(sums: DaySums, places: dict[str, Int64]) -> DaySums:
    """Their sums at our places."""
    categories = np.append(places[USER_CATEGORY], -1)[sums.user_categories]  # no category stays none
    return DaySums(
        places[USER_ITEM][sums.pairs].astype(np.int32), categories.astype(np.int32), sums.counts, sums.money, sums.last
    )
