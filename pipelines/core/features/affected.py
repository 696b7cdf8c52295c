"""Who is affected when days of the log change."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.columns import Col
from pipelines.core.features.coded_days import Ids
from pipelines.core.features.day_events import DayEvents, Int32, TakenBack
from pipelines.core.features.feature_views import VIEWS
from pipelines.core.features.fingerprints import LogDay, UInt64, items_of, users_of


@dataclass(frozen=True)
class Affected:
    """The users and the items (codes) whose features may have changed, and since when."""

    users: Int32
    items: Int32
    since: int
    """The first day (since 1970) that changed."""
    ids: Ids

    @classmethod
    def by(cls, pairs: UInt64, since: int, ids: Ids) -> "Affected":
        """Those whom a change of these pairs' events affects."""
        return cls(users_of(pairs), items_of(pairs), since, ids)

    @classmethod
    def everyone(cls, since: int, ids: Ids) -> "Affected":
        """All users and items there are."""
        users, items = (np.arange(len(codes), dtype=np.int32) for codes in (ids.users, ids.items))
        return cls(users, items, since, ids)

    def keys(self, view: str) -> dict[str, pa.Array]:
        """Key column -> the ids that rows of the view may have changed for."""
        if VIEWS[view].keys[0] == Col.USER_ID:
            return {Col.USER_ID: self.ids.users.ids.take(pa.array(self.users))} | (
                {Col.ITEM_ID: self.ids.items.ids.take(pa.array(self.items))} if Col.ITEM_ID in VIEWS[view].keys else {}
            )
        return {Col.ITEM_ID: self.ids.items.ids.take(pa.array(self.items))}

    def of(self, day: LogDay) -> LogDay:
        """What the day has of affected users or items."""
        return replace(day, events=self._events(day.events), taken_back=self._taken_back(day.taken_back))

    def _events(self, events: DayEvents) -> DayEvents:
        mask = self._mask(events.user, events.item)
        return DayEvents(events.day, **{name: of[mask] for name, of in vars(events).items() if name != "day"})

    def _taken_back(self, back: TakenBack) -> TakenBack:
        mask = self._mask(back.user, back.item)
        return TakenBack(back.day, **{name: of[mask] for name, of in vars(back).items() if name != "day"})

    def _mask(self, users: Int32, items: Int32) -> NDArray[np.bool_]:
        user, item = (np.zeros(len(codes), np.bool_) for codes in (self.ids.users, self.ids.items))
        user[self.users] = True
        item[self.items] = True
        return np.asarray(user[users] | item[items])


def of_keys(rows: pa.Table, keys: dict[str, pa.Array]) -> pa.Table:
    """The rows whose keys are among ``keys``, with plain keys."""
    for name, ids in keys.items():
        column = rows[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            mask = pc.is_in(column.dictionary, ids).take(column.indices)
        else:
            mask = pc.is_in(column, ids)
        rows = rows.filter(mask)
    return rows
