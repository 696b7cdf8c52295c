"""What happens on one day, as arrays of codes."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class DayEvents:
    """The events of one UTC day in order of (timestamp, event_id), without those of bots."""

    day: int
    """Days since 1970."""
    user: Int32
    item: Int32
    category: Int32
    """-1 where there is none."""
    kind: Int8
    """Place in feature_views.KINDS."""
    cents: Int64
    """Price of a piece in minor units, 0 where it is unknown."""
    priced: NDArray[np.bool_]
    """Whether the price is known."""
    quantity: Int64
    epoch_s: Int64
    """Whole seconds since 1970, rounded down."""

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def empty(cls, day: int) -> "DayEvents":
        """A day without events."""
        none: dict[str, Any] = {f.name: np.empty(0, t) for f, t in zip(fields(cls)[1:], _EVENT, strict=True)}
        return cls(day, **none)


@dataclass(frozen=True)
class TakenBack:
    """Pieces of purchases that are taken back on one UTC day, without those of bots, in any order."""

    day: int
    """The day of the cancellation, in days since 1970."""
    user: Int32
    item: Int32
    category: Int32
    """That of the purchase, -1 where there is none."""
    purchase_day: Int32
    """The day of the purchase, not after ``day``."""
    cents: Int64
    """Price of a piece of the purchase in minor units, 0 where it is unknown."""
    quantity: Int64
    """Pieces that this cancellation takes."""
    whole: NDArray[np.bool_]
    """Whether nothing of the purchase is left from here on."""

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def empty(cls, day: int) -> "TakenBack":
        """A day without cancellations."""
        none: dict[str, Any] = {f.name: np.empty(0, t) for f, t in zip(fields(cls)[1:], _TAKEN, strict=True)}
        return cls(day, **none)

    def take(self, some: NDArray[np.bool_]) -> "TakenBack":
        """Some of them."""
        return TakenBack(self.day, *(getattr(self, f.name)[some] for f in fields(self)[1:]))

    def append(self, later: "TakenBack") -> "TakenBack":
        """These and later ones."""
        names = (f.name for f in fields(self)[1:])
        return TakenBack(later.day, *(np.append(getattr(self, name), getattr(later, name)) for name in names))


_EVENT = (np.int32, np.int32, np.int32, np.int8, np.int64, np.bool_, np.int64, np.int64)
_TAKEN = (np.int32, np.int32, np.int32, np.int32, np.int64, np.int64, np.bool_)
