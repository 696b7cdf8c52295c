"""Recent popularity within the categories that a user comes back to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core.models.histories import Histories
from pipelines.core.models.kernels import histories as kernels
from pipelines.core.models.kernels import search
from pipelines.core.models.past import Past
from pipelines.core.models.search import Arrays, Seen, pairs


def fit(past: Past, *, half_life_days: float, taste_half_life_days: float) -> Arrays:
    """Share each category's recent interactions among its items.

    ``half_life_days`` is that of an item's interactions, ``taste_half_life_days`` that of a user's. Returns
    ``category`` int32 [items], -1 where the catalogue knows none, ``share`` float32 [items], ``shelf`` int32, the items
    with a share by category, best first, ``shelf_start`` int32 [categories + 1] and ``half_life_days`` [1], the user's.
    """
    category = _codes(past.catalogue.category)
    known = category >= 0
    values = past.interactions.decayed(past.at, half_life_days)
    demand = np.where(known, np.bincount(past.interactions.item_idx, values, minlength=past.n_items), 0.0)
    total = np.bincount(category[known], demand[known], minlength=1)
    share = (demand / np.maximum(total[category], np.finfo(np.float32).tiny)).astype(np.float32)
    order = np.lexsort((-share, category))
    shelf = order[(category[order] >= 0) & (share[order] > 0)]
    return {
        "category": category,
        "share": share,
        "shelf": shelf.astype(np.int32),
        "shelf_start": np.searchsorted(category[shelf], np.arange(category.max(initial=-1) + 2)).astype(np.int32),
        "half_life_days": np.array([taste_half_life_days], np.float32),
    }


@dataclass(frozen=True)
class Shelves:
    """P(category | user) · P(item | category), in the categories of each user's history."""

    indptr: np.ndarray
    """int64 [B + 1], with the two below CSR of users by categories."""
    category: np.ndarray
    """int32, ascending within a user."""
    affinity: np.ndarray
    """float32, P(category | user)."""
    arrays: Any

    def top(self, n: int, seen: Seen) -> np.ndarray:
        """As ``Scorer.top``."""
        shelves = self.arrays["shelf_start"], self.arrays["shelf"], self.arrays["share"]
        return search.best_of_shelves(*self._affinities, *shelves, n, seen.start, seen.keys)

    def of(self, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
        """As ``Scorer.of``."""
        items = self.arrays["category"], self.arrays["share"]
        return search.on_shelves(*self._affinities, *items, *pairs(user_pos, item_idx))

    @property
    def _affinities(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.indptr, self.category, self.affinity


def scorer(arrays: Any, histories: Histories) -> Shelves:
    """Nothing is said of items outside the categories of the history."""
    strength = np.log1p(histories.weight) * histories.recency(float(arrays["half_life_days"][0]))
    categories = len(arrays["shelf_start"]) - 1
    shares = kernels.shares(histories.indptr, histories.item_idx, strength, arrays["category"], categories)
    return Shelves(*shares, arrays)


def _codes(category: np.ndarray) -> np.ndarray:
    """int32 [items]: the number of each category, as they first occur; -1 where it is None."""
    codes = pa.array(category, pa.large_string()).dictionary_encode().indices.fill_null(-1)
    return codes.to_numpy().astype(np.int32)
