"""One day over: what it changes in a timeline's state, and the rows that come of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.features import feature_values, recent_items
from pipelines.core.features.day_events import DayEvents, Int64, TakenBack
from pipelines.core.features.day_sums import COLUMNS, MADE, PURCHASES, DaySums, Group, Rows
from pipelines.core.features.entities import ITEM, USER, USER_ITEM
from pipelines.core.features.feature_values import LATER_VIEWS, MADE_VIEWS, NET_VIEWS, RECENT_VIEW, Block
from pipelines.core.features.feature_views import KINDS, KINDS_V1, VIEWS
from pipelines.core.features.running_sums import DAY_S, NEVER, SPANS, columns, put_columns
from pipelines.core.features.timeline_state import MEMORY_DAYS, WHOLES, State
from pipelines.core.features.touched import Touched

_SPANS: Final = (1, *SPANS)
"""Days, and all time."""
_COUNTED_V1: Final = [MADE if kind == "purchases" else list(KINDS).index(kind) for kind in KINDS_V1]


@dataclass(frozen=True)
class _Change:
    """Sums that come (sign 1) or go (-1) in some spans, which are places in _SPANS."""

    sums: DaySums
    spans: tuple[int, ...]
    sign: int
    leaves: int | None = None
    """The window that a day leaves with these sums."""


class DayStep:
    """The step of ``state`` over the day that begins with its midnight."""

    def __init__(self, state: State, events: DayEvents, taken: TakenBack) -> None:
        self._state, self._entities = state, state.entities
        self._events, self._day = events, events.day
        self._rows = Rows(events, state.entities)
        self._today = DaySums.of_events(events, self._rows, state.entities)
        state.taken = state.taken.append(taken) if len(state.taken) else taken
        today = _Change(self._today, tuple(range(len(_SPANS))), 1)
        others = (*self._take_back(taken), *self._leave())
        self._changes = [today, *(change for change in others if len(change.sums))]
        state.grow()

    def run(self, kinds: Sequence[str]) -> dict[str, pa.Table]:
        """Move the state on and return the rows of these kinds of entities."""
        self._see(kinds)
        rows = {RECENT_VIEW: self._recent()}
        for kind in kinds:
            rows |= self._move(kind)
        self._forget()
        return rows

    def _take_back(self, taken: TakenBack) -> Iterator[_Change]:
        """Pieces taken back go from the spans that hold the day of the purchase, now or until today."""
        for span, window in enumerate(_SPANS):
            first = -1 if window is None else self._day - window if span else self._day
            yield _Change(self._sums(taken, taken.purchase_day >= first), (span,), -1)

    def _leave(self) -> Iterator[_Change]:
        """A day's sums go from the window that it leaves; of its purchases only what wasn't taken back by now."""
        for span, window in enumerate(_SPANS):
            if window is not None:
                day, spans = self._day - window, (span,) if span else ()  # the window of a day starts anew
                yield _Change(self._state.days.get(day, DaySums.empty()), spans, -1, window)
                yield _Change(self._sums(self._state.taken, self._state.taken.purchase_day == day), spans, 1)

    def _sums(self, taken: TakenBack, some: NDArray[np.bool_]) -> DaySums:
        return DaySums.of_taken_back(taken.take(some), self._entities) if some.any() else DaySums.empty()

    def _see(self, kinds: Sequence[str]) -> None:
        """Note what is new today, apart from sums."""
        pairs = self._today.group(USER_ITEM, self._entities)
        before = self._state.sums[USER_ITEM].last[pairs.places]
        for kind in kinds:
            group = self._today.group(kind, self._entities)
            self._state.sums[kind].last[group.places] = group.last
        self._count_distinct(pairs, before)
        bought = self._events.kind == PURCHASES
        for kind, who in ((USER, self._events.user), (ITEM, self._events.item)):
            self._state.last_purchase[kind][who[bought]] = self._events.epoch_s[bought]  # the last one stays

    def _count_distinct(self, pairs: Group, before: Int64) -> None:
        """Pairs come into a window with an event after none within it, and leave it with the day of the last."""
        last = self._state.sums[USER_ITEM].last
        for span, window in enumerate(SPANS):
            if window is None:
                self._count(span, pairs, before == NEVER, 1)
                continue
            start = self._day - window
            self._count(span, pairs, before < start * DAY_S, 1)
            leaving = self._state.days.get(start, DaySums.empty()).group(USER_ITEM, self._entities)
            self._count(span, leaving, last[leaving.places] < (start + 1) * DAY_S, -1)

    def _count(self, span: int, pairs: Group, some: NDArray[np.bool_], sign: int) -> None:
        for kind, codes in zip(WHOLES, pairs.codes, strict=True):
            every = self._state.distinct[kind].reshape(-1)
            np.add.at(every, codes[some].astype(np.int64) * len(SPANS) + span, np.int32(sign))

    def _recent(self) -> pa.Table:
        users, items = self._entities.pairs.codes(self._today.pairs)
        users, latest = recent_items.latest_first(users, items, self._rows.last)
        latest = recent_items.merge(latest, self._state.recent[users])
        self._state.recent[users] = latest
        keys = self._entities.keys(USER, (users,))
        lists = recent_items.lists(latest, self._entities.items.ids)
        return feature_values.table(RECENT_VIEW, keys, self._day + 1, {"recent_items": lists})

    def _move(self, kind: str) -> dict[str, pa.Table]:
        """Change the sums of one kind of entities and return the rows of their views."""
        groups = [change.sums.group(kind, self._entities) for change in self._changes]
        touched = Touched(kind, groups, self._entities)
        block, keys = self._block(kind, touched, groups), self._entities.keys(kind, touched.codes)
        values = feature_values.net(block)
        if kind in WHOLES:
            distinct, bought = self._state.distinct[kind], self._state.last_purchase[kind]
            values |= feature_values.of_whole(block, distinct[touched.places].T, bought[touched.places])
        rows = {NET_VIEWS[kind]: feature_values.table(NET_VIEWS[kind], keys, self._day + 1, values)}
        for view, later in LATER_VIEWS[kind].items():
            rows[view] = feature_values.table(view, keys, self._day + 1, values | later(values))
        if kind in MADE_VIEWS:
            view, some = MADE_VIEWS[kind], self._counted(MADE_VIEWS[kind], touched, groups)
            rows[view] = feature_values.table(view, keys, self._day + 1, feature_values.made(block), some)
        return rows

    def _block(self, kind: str, touched: Touched, groups: Sequence[Group]) -> Block:
        """Read the sums of what is touched, change them, and write them back."""
        sums, places = self._state.sums[kind], touched.places
        counts, money = (np.zeros((len(_SPANS), n, len(places)), t) for n, t in zip(COLUMNS[kind], _TYPES, strict=True))
        columns(sums.counts, places, counts[1:])
        columns(sums.money, places, money[1:])
        for change, group, at in zip(self._changes, groups, touched.at, strict=True):
            for span in change.spans:
                _change(counts[span], at, group.counts, change.sign)
                _change(money[span], at, group.money, change.sign)
        put_columns(sums.counts, places, counts[1:])
        put_columns(sums.money, places, money[1:])
        return Block(kind, counts, money, sums.last[places])

    def _counted(self, view: str, touched: Touched, groups: Sequence[Group]) -> Int64:
        """Which entities have a row in a first version: those with events today, or with counted ones that leave."""
        counted = np.zeros(len(touched), bool)
        counted[touched.at[0]] = True
        for change, group, at in zip(self._changes, groups, touched.at, strict=True):
            if change.leaves and f"views_{change.leaves}d" in VIEWS[view].features:
                counted[at[group.counts[_COUNTED_V1].any(axis=0)]] = True
        return np.flatnonzero(counted)

    def _forget(self) -> None:
        """Keep of the days what the next ones need."""
        state = self._state
        if len(self._today):
            state.days[self._day] = self._today
        state.days.pop(self._day - MEMORY_DAYS, None)
        state.taken = state.taken.take(state.taken.purchase_day > self._day - MEMORY_DAYS)
        state.day = self._day + 1


_TYPES: Final = (np.int32, np.int64)


def _change(sums: NDArray[np.integer], at: Int64, changes: NDArray[np.integer], sign: int) -> None:
    """Add or subtract changes [column, some entities] at their places in sums [column, entity]."""
    for column, change in zip(sums, changes, strict=True):
        if sign > 0:
            column[at] += change
        else:
            column[at] -= change
