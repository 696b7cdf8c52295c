"""A user's history with what came since the model's cut: live events, and what a request itself tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.core.models.histories import Histories


@dataclass(frozen=True)
class Recent:
    """Interactions of one user since the cut, an item may come more than once."""

    item_idx: np.ndarray
    """int [n]; -1 is an item that the model doesn't know."""
    age_days: np.ndarray
    """float [n], before now."""
    weight: np.ndarray
    """float [n]; 0 doesn't count."""


PAIRS: Final = "user_item_activity"
"""What begins so is known of users only with items that they have had to do with."""
_NONE: Final = np.zeros(0, bool)


def of_user(histories: Histories, user_idx: int) -> Histories:
    """One user's history, as ``histories.take`` has it, but nothing is copied; a user of -1 has done nothing."""
    low, high = (0, 0) if user_idx < 0 else histories.indptr[user_idx : user_idx + 2].tolist()
    arrays = (histories.item_idx, histories.age_days, histories.weight)
    return Histories(np.array([0, high - low], np.int64), *(array[low:high] for array in arrays))


def among(ascending: np.ndarray, items: np.ndarray) -> np.ndarray:
    """bool [n]: which of ``items`` [n] are among those that ascend."""
    if not len(ascending):
        return np.zeros(len(items), bool)
    found: np.ndarray = ascending[np.minimum(ascending.searchsorted(items), len(ascending) - 1)] == items
    return found


def joined(history: Histories, recent: Recent, since_cut_days: float) -> Histories:
    """One user's ``history`` (at the cut) and what is ``recent``, as one history now.

    Ages of the history grow by ``since_cut_days``; an item that is in both has the newest age and the sum of weights.
    """
    aged = history.age_days + np.float32(since_cut_days) if since_cut_days else history.age_days
    counted = (recent.item_idx >= 0) & (recent.weight > 0) if len(recent.item_idx) else _NONE
    if not counted.any():
        return Histories(history.indptr, history.item_idx, aged, history.weight)
    every = np.concatenate([history.item_idx, recent.item_idx[counted]])
    order = every.argsort(kind="stable")
    every = every[order]
    first = np.append(0, np.flatnonzero(every[1:] != every[:-1]) + 1)
    age = np.concatenate([aged, np.maximum(recent.age_days[counted], 0.0)])[order]
    weight = np.concatenate([history.weight, recent.weight[counted]])[order]
    return Histories(
        np.array([0, len(first)], np.int64),
        every[first].astype(np.int32),
        np.minimum.reduceat(age, first).astype(np.float32),
        np.add.reduceat(weight, first).astype(np.float32),
    )


def known_since(features: Mapping[str, float | np.ndarray], n: int, repeats: bool) -> np.ndarray:
    """bool [n]: candidates that the user has had to do with since the model's cut, and that may not come again.

    ``features``: full name -> float64 [n], or one for all; NaN where nothing is known.
    """
    met = np.zeros(n, bool)
    if not repeats:
        for name, values in features.items():
            if name.startswith(PAIRS):
                met |= ~np.isnan(values)
    return met
