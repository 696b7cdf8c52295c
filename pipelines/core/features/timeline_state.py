"""What a timeline knows of the past at one midnight, and how it becomes arrays and comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np

from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import Int32, Int64, TakenBack
from pipelines.core.features.day_sums import COLUMNS, DaySums, joined
from pipelines.core.features.entities import ITEM, USER, USER_CATEGORY, USER_ITEM, Entities
from pipelines.core.features.feature_views import RECENT_ITEMS, WINDOWS
from pipelines.core.features.growing import room
from pipelines.core.features.pair_index import PairIndex
from pipelines.core.features.recent_items import NONE
from pipelines.core.features.running_sums import NEVER, SPANS, RunningSums

MEMORY_DAYS: Final = max(WINDOWS)
"""Days before the midnight whose sums are kept."""
WHOLES: Final = (USER, ITEM)
"""The kinds of entities that aren't pairs."""

_PAIRS: Final = (USER_ITEM, USER_CATEGORY)
_SUMS: Final = ("counts", "money", "last")


@dataclass
class State:
    """Everything that the days before a midnight leave behind. Arrays begin with the axis of the entities."""

    entities: Entities
    day: int | None = None
    """The day that begins with the midnight, in days since 1970; unknown before the first event."""
    sums: dict[str, RunningSums] = field(
        default_factory=lambda: {kind: RunningSums.empty(*columns) for kind, columns in COLUMNS.items()}
    )
    distinct: dict[str, Int32] = field(default_factory=lambda: {k: np.empty((0, len(SPANS)), np.int32) for k in WHOLES})
    """Items of each user, users of each item: within each of SPANS."""
    last_purchase: dict[str, Int64] = field(default_factory=lambda: {k: np.empty(0, np.int64) for k in WHOLES})
    """Epoch seconds, NEVER before the first."""
    recent: Int32 = field(default_factory=lambda: np.empty((0, RECENT_ITEMS), np.int32))
    """The last different items of each user, latest first, NONE behind."""
    days: dict[int, DaySums] = field(default_factory=dict)
    """The sums as made of those of the last MEMORY_DAYS days that had events, oldest first."""
    taken: TakenBack = field(default_factory=lambda: TakenBack.empty(0))
    """What was taken back of the purchases of these days."""

    def grow(self) -> None:
        """Make room for entities that have come."""
        for kind, sums in self.sums.items():
            sums.grow(self.entities.count(kind))
        for kind in WHOLES:
            self.distinct[kind] = room(self.distinct[kind], self.entities.count(kind))
            self.last_purchase[kind] = room(self.last_purchase[kind], self.entities.count(kind), fill=NEVER)
        self.recent = room(self.recent, self.entities.count(USER), fill=NONE)

    def arrays(self) -> dict[str, np.ndarray]:
        """The state without the codes: views where that is possible, with some room for entities to come."""
        self.grow()
        with_room = {kind: _with_room(self.entities.count(kind)) for kind in self.sums}
        found: dict[str, np.ndarray] = {"day": np.array([] if self.day is None else [self.day], np.int64)}
        for kind, sums in self.sums.items():
            found |= {f"{kind}.{name}": getattr(sums, name)[: with_room[kind]] for name in _SUMS}
        found |= {f"{kind}.distinct": self.distinct[kind][: with_room[kind]] for kind in WHOLES}
        found |= {f"{kind}.last_purchase": self.last_purchase[kind][: with_room[kind]] for kind in WHOLES}
        found["recent"] = self.recent[: with_room[USER]]
        for kind, index in zip(_PAIRS, (self.entities.pairs, self.entities.user_categories), strict=True):
            found |= {f"{kind}.keys": index.keys, f"{kind}.slots": index.slots}
        return found | self._days() | {f"taken.{f.name}": getattr(self.taken, f.name) for f in fields(TakenBack)[1:]}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], users: Codes, items: Codes, categories: Codes) -> "State":
        """The state that gave ``arrays``; it writes into them where it can."""
        own = {name: np.require(array, requirements="W") for name, array in arrays.items()}
        indexes = (PairIndex(own[f"{kind}.keys"], own[f"{kind}.slots"]) for kind in _PAIRS)
        (day,) = own["day"].tolist() or (None,)
        return cls(
            Entities(users, items, categories, *indexes),
            day,
            {kind: RunningSums(*(own[f"{kind}.{name}"] for name in _SUMS)) for kind in COLUMNS},
            {kind: own[f"{kind}.distinct"] for kind in WHOLES},
            {kind: own[f"{kind}.last_purchase"] for kind in WHOLES},
            own["recent"],
            _split(own),
            TakenBack(day or 0, **{f.name: own[f"taken.{f.name}"] for f in fields(TakenBack)[1:]}),
        )

    def _days(self) -> dict[str, np.ndarray]:
        day = np.repeat(np.fromiter(self.days, np.int64, len(self.days)), [len(sums) for sums in self.days.values()])
        rows = joined([DaySums.empty(), *self.days.values()])
        return {"days.day": day} | {f"days.{name}": getattr(rows, name) for name in DaySums.COLUMNS}


def _with_room(entities: int) -> int:
    """So many that a few more days fit without a copy of all that is known."""
    return entities + entities // 16


def _split(arrays: Mapping[str, np.ndarray]) -> dict[int, DaySums]:
    day = arrays["days.day"]
    rows = DaySums(*(arrays[f"days.{name}"] for name in DaySums.COLUMNS))
    return {int(d): rows.take(slice(*np.searchsorted(day, [d, d + 1]).tolist())) for d in np.unique(day)}
