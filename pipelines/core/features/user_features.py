"""What the online store knows of a user at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

Column = np.ndarray[Any, Any]


@dataclass(frozen=True)
class UserState:
    """A user now: the features of the user alone, and what the user did since the model's cut, as far as is known."""

    features: Mapping[str, float]
    """Full name -> value, NaN where missing."""
    recent: Sequence[str] = ()
    """The last different items, newest first, as the last batch or push wrote them."""
    session_items: Sequence[str] = ()
    """Items of live events, newest first."""
    session_types: Sequence[str] = ()
    session_epoch_s: Column = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class UserFeatures:
    """All that one recommendation reads. Names are full (``view__feature``), values float64, NaN where missing.

    ``categories`` is empty where the feature service reads none of them. ``stamps``: view -> event timestamp of each
    row that was read, datetime64[us] UTC, NaT where the view has none.
    """

    user: Mapping[str, float]
    items: Mapping[str, Column]
    categories: Mapping[str, Column]
    stamps: Mapping[str, Column]

    @property
    def newest(self) -> dict[str, datetime]:
        """View -> the newest stamp that was read (UTC); without the views that have no row of the user."""
        latest = {view: np.fmax.reduce(stamps) for view, stamps in self.stamps.items() if len(stamps)}
        return {view: at.item().replace(tzinfo=UTC) for view, at in latest.items() if not np.isnat(at)}
