"""Maximum inner product search among item factors.

Small catalogues are searched whole. In large ones the items are divided into clusters of like direction (spherical
k-means), and a user's search looks into those whose centre promises most, and always into the items with the longest
factors, which lead many lists: an inverted file (Jégou, Douze and Schmid, "Product quantization for nearest neighbor
search", TPAMI 2011, section IV). A cluster's rows lie one behind the other, so that looking into one reads memory in
order; what is looked at is a copy of 8 bits a number, a quarter of the memory and a third of the time, and the best are
then compared by the factors themselves (Jégou et al., "Searching in one billion vectors: re-rank with source coding",
ICASSP 2011).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipelines.core.models.kernels import search as kernels
from pipelines.core.models.search import Arrays, Seen, pairs

WHOLE: Final = 10_000
"""Items up to which all are looked at."""
CLUSTER_ITEMS: Final = 200
"""Items of a cluster on average."""
LONGEST: Final = 2_000
"""Items that every search looks at."""
PROBED: Final = 2_000
"""Items of clusters that a search looks at, about."""
SAMPLE_A_CLUSTER: Final = 20
ROUNDS: Final = 6
ROWS_AT_ONCE: Final = 8_192
NONE: Final = np.zeros(0, np.int32)


def build(item_factors: np.ndarray, rng: np.random.Generator) -> Arrays:
    """Arrays for ``FactorScorer`` from float32 [items, f].

    ``item_factors`` itself where the catalogue is small; else its rows in the order of clusters, the longest items
    first, with ``item_at`` int32 [items] (row -> item), ``row_of`` int32 [items] (item -> row), ``cluster_start`` int32
    [clusters + 1], ``centres`` float32 [clusters, f], and ``coarse`` int8 [items, f] times ``step`` float32 [items],
    which is nearly the factors.
    """
    n_items = len(item_factors)
    if n_items <= WHOLE:
        return {"item_factors": item_factors}
    length = np.linalg.norm(item_factors, axis=1)
    longest = np.zeros(n_items, bool)
    longest[np.argsort(-length, kind="stable")[:LONGEST]] = True
    others = np.flatnonzero(~longest)
    directions = item_factors[others] / np.maximum(length[others, None], np.finfo(np.float32).tiny)
    cluster = _clusters(directions, max(1, len(others) // CLUSTER_ITEMS), rng)
    order = np.argsort(cluster, kind="stable")
    item_at = np.concatenate([np.flatnonzero(longest), others[order]]).astype(np.int32)
    row_of = np.empty(n_items, np.int32)
    row_of[item_at] = np.arange(n_items, dtype=np.int32)
    count = np.bincount(cluster)
    factors = item_factors[item_at]
    start = LONGEST + np.append(0, np.cumsum(count))
    kept = np.flatnonzero(count)
    centres = np.add.reduceat(factors, start[:-1][kept]) / count[kept, None]
    step = np.maximum(np.abs(factors).max(axis=1), np.finfo(np.float32).tiny) / np.float32(127)
    return {
        "item_factors": factors,
        "coarse": np.rint(factors / step[:, None]).astype(np.int8),
        "step": step,
        "item_at": item_at,
        "row_of": row_of,
        "cluster_start": np.append(start[:-1][kept], n_items).astype(np.int32),
        "centres": centres.astype(np.float32),
    }


def rows(arrays: Any, item_idx: np.ndarray) -> np.ndarray:
    """float32 [n, f]: the factors of some items."""
    at = arrays["row_of"][item_idx] if "row_of" in arrays else item_idx
    found: np.ndarray = arrays["item_factors"][at]
    return found


@dataclass(frozen=True)
class FactorScorer:
    """Inner products of users with items."""

    users: np.ndarray
    """float32 [B, f]."""
    known: np.ndarray
    """bool [B]: nothing is said to the others."""
    arrays: Any
    """Of ``build``."""

    def top(self, n: int, seen: Seen) -> np.ndarray:
        """As ``Scorer.top``; of a large catalogue nearly the best."""
        users, factors = (self.users, self.known), self.arrays["item_factors"]
        if "centres" not in self.arrays:
            return kernels.best_by_factors(*users, factors, n, seen.start, seen.keys)
        coarse = self.arrays["coarse"], self.arrays["step"], self.arrays["item_at"]
        clusters, probed = (self.arrays["cluster_start"], self.arrays["centres"]), max(1, PROBED // CLUSTER_ITEMS)
        return kernels.best_in_clusters(*users, factors, *coarse, *clusters, probed, n, seen.start, seen.keys)

    def of(self, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
        """As ``Scorer.of``."""
        factors = self.arrays["item_factors"], self.arrays.get("row_of", NONE)
        return kernels.inner_products(self.users, self.known, *factors, *pairs(user_pos, item_idx))


def _clusters(directions: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """int64 [rows]: the cluster of each unit row, by spherical k-means on a sample of them."""
    sample = directions[np.sort(rng.permutation(len(directions))[: n * SAMPLE_A_CLUSTER])]
    centres = sample[np.sort(rng.permutation(len(sample))[:n])].copy()
    for _ in range(ROUNDS):
        cluster = _nearest(sample, centres)
        order = np.argsort(cluster, kind="stable")
        filled, start = np.unique(cluster[order], return_index=True)
        sums = np.add.reduceat(sample[order], start)
        centres[filled] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return _nearest(directions, centres)


def _nearest(directions: np.ndarray, centres: np.ndarray) -> np.ndarray:
    parts = range(0, len(directions), ROWS_AT_ONCE)
    return np.concatenate([(directions[p : p + ROWS_AT_ONCE] @ centres.T).argmax(axis=1) for p in parts])
