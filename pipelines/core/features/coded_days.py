"""Prepared interactions and what was taken back of them, as one day's arrays of codes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.columns import Col
from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import DayEvents, Int32, Int64, TakenBack
from pipelines.core.features.feature_views import KINDS

DAY_US: Final = 86_400_000_000
"""Microseconds."""
_KINDS: Final = pa.array(KINDS.values())


@dataclass(frozen=True)
class Ids:
    """The codes of users, items and categories that events are written in."""

    users: Codes = field(default_factory=Codes)
    items: Codes = field(default_factory=Codes)
    categories: Codes = field(default_factory=Codes)


@dataclass(frozen=True)
class CodedRows:
    """Events in order of (timestamp, event_id), without those of bots; see DayEvents."""

    user: Int32
    item: Int32
    category: Int32
    kind: NDArray[np.int8]
    cents: Int64
    priced: NDArray[np.bool_]
    quantity: Int64
    time: Int64
    """Microseconds since 1970."""

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, rows: pa.Table, ids: Ids) -> "CodedRows":
        """Encode prepared interactions; new ids get codes."""
        rows = rows.filter(pc.invert(rows[Col.IS_BOT]))
        cents, priced = _money(rows[Col.PRICE])
        kinds = rows[Col.EVENT_TYPE].combine_chunks()
        if not pa.types.is_dictionary(kinds.type):
            kinds = kinds.dictionary_encode()
        places = pc.index_in(kinds.dictionary.cast(pa.string()), _KINDS).to_numpy(zero_copy_only=False)
        return cls(
            ids.users.encode(rows[Col.USER_ID]),
            ids.items.encode(rows[Col.ITEM_ID]),
            ids.categories.encode(rows[Col.CATEGORY]),
            places.astype(np.int8)[kinds.indices.to_numpy()],
            cents,
            priced,
            rows[Col.QUANTITY].to_numpy(),
            rows[Col.TIMESTAMP].cast(pa.int64()).to_numpy(),
        )

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "CodedRows":
        return CodedRows(*(column[rows] for column in vars(self).values()))

    @classmethod
    def none(cls) -> "CodedRows":
        """No events."""
        e = DayEvents.empty(0)
        return cls(e.user, e.item, e.category, e.kind, e.cents, e.priced, e.quantity, e.epoch_s)

    @classmethod
    def concat(cls, parts: Iterable["CodedRows"]) -> "CodedRows":
        """The rows of ``parts`` (at least one), one after another."""
        whole = list(parts)
        if len(whole) == 1:
            return whole[0]
        return cls(**{name: np.concatenate([getattr(part, name) for part in whole]) for name in vars(whole[0])})

    def events(self, day: int) -> DayEvents:
        """These rows, all of one day."""
        columns = {name: column for name, column in vars(self).items() if name != "time"}
        return DayEvents(day, **columns, epoch_s=self.time // 1_000_000)


def taken_back(rows: pa.Table, ids: Ids) -> list[TakenBack]:
    """What was taken back (TAKEN_BACK_SCHEMA, in order of ``cancelled_at``), a TakenBack a day; new ids get codes."""
    rows = rows.filter(pc.invert(rows[Col.IS_BOT]))
    cancelled, bought = (rows[name].cast(pa.int64()).to_numpy() // DAY_US for name in (Col.CANCELLED_AT, Col.TIMESTAMP))
    columns: list[Any] = [
        ids.users.encode(rows[Col.USER_ID]),
        ids.items.encode(rows[Col.ITEM_ID]),
        ids.categories.encode(rows[Col.CATEGORY]),
        bought.astype(np.int32),
        _money(rows[Col.PRICE])[0],
        rows[Col.QUANTITY].to_numpy(),
        rows[Col.WHOLE].combine_chunks().to_numpy(zero_copy_only=False),
    ]
    days, starts = np.unique(cancelled, return_index=True)
    cuts = pairwise([*starts, len(cancelled)])
    return [
        TakenBack(int(day), *(column[start:end] for column in columns))
        for day, (start, end) in zip(days, cuts, strict=True)
    ]


def _money(prices: pa.ChunkedArray) -> tuple[Int64, NDArray[np.bool_]]:
    """Prices in minor units, halves away from zero, 0 where there is none; and where there is one."""
    minor = prices.to_numpy() * 100  # a missing one is NaN
    priced = ~np.isnan(minor)
    whole = np.trunc(np.where(priced, minor, 0))
    return (whole + (np.where(priced, minor, 0) - whole >= 0.5)).astype(np.int64), priced
