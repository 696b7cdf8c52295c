"""The sums of one day: of every user with every item in a category, and of each kind of entity.

Counts are those of feature_views.KINDS, then purchases once more, then events with a price; money is what was spent,
once more, then the sum of prices, in minor units. Cancellations change the first of the two only: the second is the
purchases as made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.features.day_events import DayEvents, Int32, Int64, TakenBack
from pipelines.core.features.entities import ITEM, USER, USER_CATEGORY, USER_ITEM, Entities, Places
from pipelines.core.features.feature_views import KINDS
from pipelines.core.features.pair_index import pair_keys

PURCHASES: Final = list(KINDS).index("purchases")
MADE: Final = len(KINDS)
PRICED: Final = MADE + 1
SPEND: Final = 0
SPEND_MADE: Final = 1
CENTS: Final = 2

COLUMNS: Final = {USER: (PRICED + 1, CENTS + 1), ITEM: (MADE + 1, SPEND_MADE + 1), USER_ITEM: (MADE + 1, 0),
                  USER_CATEGORY: (MADE, SPEND + 1)}  # fmt: skip
"""How many counts and sums of money each kind of entity needs: the first ones."""


class _Sums(NamedTuple):
    """Counts and money [column, row], and the seconds of the last event [row]."""

    counts: Int32
    money: Int64
    last: Int64

    def take(self, rows: Int64) -> "_Sums":
        return _Sums(self.counts.take(rows, axis=1), self.money.take(rows, axis=1), self.last[rows])

    def add(self, starts: Int64) -> "_Sums":
        """The sums of neighbours, a sum beginning at each start."""
        return _Sums(
            np.add.reduceat(self.counts, starts, axis=1, dtype=np.int32),
            np.add.reduceat(self.money, starts, axis=1),
            np.maximum.reduceat(self.last, starts),
        )


@dataclass(frozen=True)
class Group:
    """The sums of a day of the entities of one kind, in the order of their keys as strings."""

    places: Int64
    """Different entities: [entity]."""
    codes: tuple[Places, ...]
    """Those of the keys of each entity: [entity], once or, for pairs, twice."""
    counts: Int32
    """[column, entity]."""
    money: Int64
    """[column, entity]."""
    last: Int64
    """Epoch seconds of the last event: [entity]."""


@dataclass(frozen=True)
class DaySums:
    """The sums of one day: 68 bytes for a user's day with an item, and some more for the groups once asked for.

    Rows are in the order of user and item (as strings).
    """

    pairs: Int32
    """Place of user and item: [row]."""
    user_categories: Int32
    """Place of user and category, -1 without a category: [row]."""
    counts: Int32
    """[column, row]."""
    money: Int64
    """[column, row]."""
    last: Int64
    """Epoch seconds of the last event: [row]."""
    _groups: dict[str, Group] = field(default_factory=dict, init=False)

    COLUMNS: ClassVar = ("pairs", "user_categories", "counts", "money", "last")

    @classmethod
    def empty(cls) -> "DaySums":
        """A day without events."""
        places, counts = np.empty(0, np.int32), np.empty((PRICED + 1, 0), np.int32)
        return cls(places, places, counts, np.empty((CENTS + 1, 0), np.int64), np.empty(0, np.int64))

    @classmethod
    def of_events(cls, events: DayEvents, rows: "Rows", entities: Entities) -> "DaySums":
        """Add up events, giving places to entities that have none."""
        by_kind = events.kind[rows.order].astype(np.int64) * len(rows) + rows.of_event
        kinds = np.bincount(by_kind, minlength=len(KINDS) * len(rows)).reshape(len(KINDS), -1)
        priced = rows.sum(events.priced.astype(np.int64))
        spend = rows.sum(np.where(events.kind == PURCHASES, events.cents * events.quantity, 0))
        return cls(
            *rows.places(entities),
            np.concatenate([kinds, kinds[PURCHASES:], priced[None]]).astype(np.int32),
            np.stack([spend, spend, rows.sum(events.cents)]),
            events.epoch_s[rows.last],
        )

    @classmethod
    def of_taken_back(cls, taken: TakenBack, entities: Entities) -> "DaySums":
        """Add up pieces taken back.

        Raises:
            InputError: their user never did anything with the item.
        """
        rows = Rows(taken, entities)
        counts, money = np.zeros((PRICED + 1, len(rows)), np.int32), np.zeros((CENTS + 1, len(rows)), np.int64)
        counts[PURCHASES] = rows.sum(taken.whole.astype(np.int64))
        money[SPEND] = rows.sum(taken.cents * taken.quantity)
        pairs = entities.pairs.find(rows.of(taken.user), rows.of(taken.item))
        if (pairs < 0).any():
            raise InputError("taken_back.parquet has pieces that were never bought: run `python -m pipelines prepare`")
        return cls(*rows.places(entities), counts, money, np.zeros(len(rows), np.int64))

    def __len__(self) -> int:
        return len(self.pairs)

    def group(self, kind: str, entities: Entities) -> Group:
        """The sums of the entities of one kind."""
        if kind not in self._groups:
            self._groups[kind] = self._derive(kind, entities)
        return self._groups[kind]

    def take(self, rows: Any) -> "DaySums":
        """The rows of an index: numbers, a mask or a slice."""
        return DaySums(*(getattr(self, name)[..., rows] for name in self.COLUMNS))

    def _derive(self, kind: str, entities: Entities) -> Group:
        places, (counts, money) = self._places(kind, entities), COLUMNS[kind]
        sums = _Sums(self.counts[:counts], self.money[:money], self.last)
        if kind not in (USER, USER_ITEM):  # of these the rows are in order
            known = np.flatnonzero(places >= 0)
            order = entities.order(kind, entities.codes(kind, places[known]))
            known = known[np.argsort(order, kind="stable")]
            places, sums = places[known], sums.take(known)
        starts = np.flatnonzero(np.append(True, ~_same(places))[: len(places)])
        if len(starts) < len(places):
            places, sums = places[starts], sums.add(starts)
        codes = tuple(of_key.astype(np.int32) for of_key in entities.codes(kind, places))
        return Group(places.astype(np.int64), codes, *sums)

    def _places(self, kind: str, entities: Entities) -> Places:
        if kind in (USER, ITEM):
            return entities.pairs.codes(self.pairs)[kind == ITEM]
        return self.pairs if kind == USER_ITEM else self.user_categories


def joined(sums: Sequence[DaySums]) -> DaySums:
    """The rows of several sums (at least one), one after another."""
    return DaySums(*(np.concatenate([getattr(s, name) for s in sums], axis=-1) for name in DaySums.COLUMNS))


def in_order(rows: DaySums, entities: Entities) -> DaySums:
    """Rows in the order of user and item."""
    order = entities.order(USER_ITEM, entities.codes(USER_ITEM, rows.pairs))
    return rows.take(np.argsort(order, kind="stable"))


class Rows:
    """Which row of a day's sums each event (or purchase taken back) belongs to."""

    def __init__(self, events: DayEvents | TakenBack, entities: Entities) -> None:
        self._events = events
        pair = pair_keys(entities.users.rank()[events.user], entities.items.rank()[events.item])
        self.order = np.argsort(pair, kind="stable")
        if (_same(pair[self.order]) & ~_same(events.category[self.order])).any():
            self.order = np.lexsort((events.category, pair))
        first = np.ones(len(pair), bool)
        first[1:] = ~(_same(pair[self.order]) & _same(events.category[self.order]))
        self._starts = np.flatnonzero(first)
        self.of_event: Int64 = np.cumsum(first) - 1

    def __len__(self) -> int:
        return len(self._starts)

    @cached_property
    def last(self) -> Int64:
        """The last event of each row."""
        ends: Int64 = self.order[np.append(self._starts[1:], len(self.order)) - 1] if len(self) else self.order
        return ends

    def of(self, values: Int32) -> Int32:
        """What is the same for all events of a row, for each row."""
        return values[self.order[self._starts]]

    def sum(self, values: Int64) -> Int64:
        """The sum of each row."""
        sums: Int64 = np.add.reduceat(values[self.order], self._starts) if len(self) else values
        return sums

    def places(self, entities: Entities) -> tuple[Int32, Int32]:
        """The pair, and the user with the category, of each row."""
        user, category = self.of(self._events.user), self.of(self._events.category)
        user_categories = np.full(len(self), -1, np.int32)
        known = category >= 0
        user_categories[known] = entities.user_categories.add(user[known], category[known])
        return entities.pairs.add(user, self.of(self._events.item)), user_categories


def _same(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each value but the first is the one before."""
    return values[1:] == values[:-1]
