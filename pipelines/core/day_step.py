"""One day over: what it changes in a timeline's state, and the rows that come of it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core import feature_values, recent_items
from pipelines.core.day_events import DayEvents, TakenBack
from pipelines.core.day_sums import COLUMNS, MADE, PURCHASES, DaySums, Group, Rows
from pipelines.core.entities import ITEM, USER, USER_ITEM
from pipelines.core.feature_values import MADE_VIEWS, NET_VIEWS, RECENT_VIEW, Block
from pipelines.core.feature_views import KINDS, KINDS_V1, VIEWS, WINDOWS
from pipelines.core.running_sums import DAY_S, NEVER, SPANS, take
from pipelines.core.timeline_state import MEMORY_DAYS, WHOLES, State
from pipelines.core.touched import Touched

_ALL: Final = tuple(range(len(SPANS)))
_COUNTED_V1: Final = [MADE if kind == "purchases" else list(KINDS).index(kind) for kind in KINDS_V1]


class DayStep:
    """The step of ``state`` over the day that begins with its midnight."""

    def __init__(self, state: State, events: DayEvents, taken: TakenBack) -> None:
        self._state, self._entities = state, state.entities
        self._events, self._midnight = events, events.day + 1
        self._rows = Rows(events, state.entities)
        self._today = DaySums.of_events(events, self._rows, state.entities)
        self._leaving = [state.days.get(events.day - window, DaySums.empty()) for window in WINDOWS]
        self._taken = self._sums(taken)
        self._taken_of_today = self._sums(taken.take(taken.purchase_day == events.day))
        state.taken = taken if not len(state.taken) else state.taken.append(taken)
        self._changes = self._find_changes(taken)
        state.grow()

    def run(self, kinds: Sequence[str], made: bool) -> dict[str, pa.Table]:
        """Move the state on and return the rows of these kinds of entities, with the first versions or without."""
        self._add(kinds)
        rows = {RECENT_VIEW: self._recent()}
        for kind in kinds:
            rows |= self._emit(kind, made)
        self._forget()
        return rows

    def _sums(self, taken: TakenBack) -> DaySums:
        return DaySums.of_taken_back(taken, self._entities) if len(taken) else DaySums.empty()

    def _find_changes(self, taken: TakenBack) -> list[tuple[DaySums, tuple[int, ...], int]]:
        """Which sums come (1) or go (-1) in which spans."""
        changes = [(self._today, _ALL, 1), (self._taken, (SPANS.index(None),), -1)]
        for span, window in enumerate(SPANS[:-1]):
            start = self._events.day - window  # the first day of the window, which leaves it now
            of_start = self._state.taken.take(self._state.taken.purchase_day == start)
            changes += [
                (self._sums(taken.take(taken.purchase_day >= start)), (span,), -1),
                (self._state.days.get(start, DaySums.empty()), (span,), -1),
                (self._sums(of_start), (span,), 1),
            ]
        return [change for change in changes if len(change[0])]

    def _add(self, kinds: Sequence[str]) -> None:
        pairs = self._today.group(USER_ITEM, self._entities).places
        before = self._state.sums[USER_ITEM].last[pairs]
        for kind in kinds:
            sums = self._state.sums[kind]
            for change, spans, sign in self._changes:
                sums.add(change.group(kind, self._entities), spans, sign)
            places = self._today.places(kind, self._entities)
            np.maximum.at(sums.last, places[places >= 0], self._today.last[places >= 0])
        self._count_distinct(pairs, before)
        bought = self._events.kind == PURCHASES
        for kind, who in ((USER, self._events.user), (ITEM, self._events.item)):
            self._state.last_purchase[kind][who[bought]] = self._events.epoch_s[bought]  # the last one stays

    def _count_distinct(self, pairs: NDArray[np.integer], before: NDArray[np.int64]) -> None:
        """Pairs come into a window with an event after none within it, and leave it with the day of the last."""
        last = self._state.sums[USER_ITEM].last
        for span, window in enumerate(SPANS):
            if window is None:
                self._count(span, pairs[before == NEVER], 1)
                continue
            start = self._events.day - window
            self._count(span, pairs[before < start * DAY_S], 1)
            leaving = self._state.days.get(start, DaySums.empty()).group(USER_ITEM, self._entities).places
            self._count(span, leaving[last[leaving] < (start + 1) * DAY_S], -1)

    def _count(self, span: int, pairs: NDArray[np.integer], sign: int) -> None:
        for kind, codes in zip(WHOLES, self._entities.pairs.codes(pairs), strict=True):
            np.add.at(self._state.distinct[kind][span], codes, np.int32(sign))

    def _emit(self, kind: str, made: bool) -> dict[str, pa.Table]:
        days = (self._today, self._taken_of_today, *self._leaving, self._taken)
        groups = [day.group(kind, self._entities) for day in days]
        touched = Touched(kind, groups, self._entities)
        block, keys = self._block(kind, touched, groups), self._entities.keys(kind, touched.codes)
        columns = feature_values.net(block)
        if kind in WHOLES:
            distinct, bought = self._state.distinct[kind], self._state.last_purchase[kind]
            columns |= feature_values.of_whole(block, distinct.take(touched.places, 1), bought[touched.places])
        rows = {NET_VIEWS[kind]: feature_values.table(NET_VIEWS[kind], keys, self._midnight, columns)}
        if made and kind in MADE_VIEWS:
            counted = np.flatnonzero(_counted(MADE_VIEWS[kind], touched, groups))
            columns = feature_values.made(block)
            rows[MADE_VIEWS[kind]] = feature_values.table(MADE_VIEWS[kind], keys, self._midnight, columns, counted)
        return rows

    def _block(self, kind: str, touched: Touched, groups: Sequence[Group]) -> Block:
        sums, places = self._state.sums[kind], touched.places
        counts = np.zeros((1 + len(SPANS), COLUMNS[kind][0], len(places)), np.int32)
        counts[0][:, touched.at[0]] = groups[0].counts
        counts[0][:, touched.at[1]] -= groups[1].counts
        take(sums.counts, places, counts[1:])
        return Block(kind, counts, take(sums.money, places), sums.last[places])

    def _recent(self) -> pa.Table:
        users, items = self._entities.pairs.codes(self._today.pairs)
        users, latest = recent_items.latest_first(users, items, self._rows.last)
        latest = recent_items.merge(latest, self._state.recent[:, users].T)
        self._state.recent[:, users] = latest.T
        keys = self._entities.keys(USER, (users,))
        lists = recent_items.lists(latest, self._entities.items.ids)
        return feature_values.table(RECENT_VIEW, keys, self._midnight, {"recent_items": lists})

    def _forget(self) -> None:
        state, day = self._state, self._events.day
        if len(self._today):
            state.days[day] = self._today
        state.days.pop(day - MEMORY_DAYS, None)
        state.taken = state.taken.take(state.taken.purchase_day > day - MEMORY_DAYS)
        state.day = day + 1


def _counted(view: str, touched: Touched, groups: Sequence[Group]) -> NDArray[np.bool_]:
    """Which entities have a row in a first version: those with events today, or with counted ones that leave."""
    counted = np.zeros(len(touched), bool)
    counted[touched.at[0]] = True
    for window, at, group in zip(WINDOWS, touched.at[2:], groups[2:], strict=False):
        if f"views_{window}d" in VIEWS[view].features:
            counted[at[group.counts[_COUNTED_V1].any(axis=0)]] = True
    return counted
