"""Co-visitation: what is met soon before or after an item in the sequences of its users.

Both directions count: to ask for what follows alone is worse on Online Retail and on MovieLens-100k, whose items of one
basket or sitting have no order of their own.
"""

from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix, identity

from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import Interactions
from pipelines.core.models.kernels import histories as kernels
from pipelines.core.models.past import Past
from pipelines.core.models.search import Arrays, Sparse, propagated
from pipelines.core.models.sparse import among_largest, runs, stored

RECENT: Final = 20
"""Items of a user that count when it is scored."""
PAIRS_AT_ONCE: Final = 1 << 22
"""Pairs of steps that are counted at one time, about 0.2 GB."""


def fit(past: Past, *, window: int, half_life_days: float, neighbours: int) -> Arrays:
    """Count pairs of items within ``window`` steps of a user's sequence.

    A pair at distance d weighs 1/d, halved by age like any event; the sum is divided by the square root of both
    items' totals (cosine). Returns the CSR items by items of the best ``neighbours`` of each item: ``indptr``,
    ``indices``, ``data``.
    """
    steps = _sequences(past.interactions, past.interactions.decayed(past.at, half_life_days).astype(np.float32))
    n_items = past.n_items
    total = np.sqrt(np.maximum(_totals(*steps, window, n_items), 1e-12))
    by_item = np.argsort(steps[1], kind="stable")
    first = np.append(0, np.cumsum(np.bincount(steps[1], minlength=n_items)))
    kept_of, columns, values = [], [], []
    for run in runs(np.diff(first) * 2 * window, PAIRS_AT_ONCE):
        counts = _counts(*steps, by_item[first[run.start] : first[run.stop]], window, n_items)[run]
        row = run.start + np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        cosine = (counts.data / (total[row] * total[counts.indices])).astype(np.float32)
        cosine[row == counts.indices] = 0.0
        kept = among_largest(counts.indptr, cosine, neighbours) & (cosine > 0)
        kept_of.append(np.bincount(row[kept] - run.start, minlength=counts.shape[0]))
        columns.append(counts.indices[kept])
        values.append(cosine[kept])
    indptr = np.append(0, np.cumsum(np.concatenate(kept_of)))
    best = csr_matrix((np.concatenate(values), np.concatenate(columns), indptr), shape=(n_items, n_items))
    best.sort_indices()
    return stored(best)


def scorer(arrays: Any, histories: Histories) -> Sparse:
    """The neighbours of a user's last items, summed."""
    indptr, newest, place = kernels.newest(histories.indptr, histories.age_days, RECENT)
    return propagated(indptr, histories.item_idx[newest], 1.0 / np.sqrt(1.0 + place), arrays)


def _sequences(interactions: Interactions, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(user, item, value) sorted by user, then time; immediate repetitions of an item are one step."""
    order = np.argsort(interactions.user_idx, kind="stable")  # they are in the order of time
    users, items, values = interactions.user_idx[order], interactions.item_idx[order], values[order]
    first = np.ones(len(users), bool)
    first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    return users[first], items[first], values[first]


def _totals(users: np.ndarray, items: np.ndarray, values: np.ndarray, window: int, n_items: int) -> np.ndarray:
    """float64 [items]: the weights of all pairs that an item is in, but those with itself."""
    total = np.zeros(n_items)
    for distance in range(1, window + 1):
        pair = (users[:-distance] == users[distance:]) & (items[:-distance] != items[distance:])
        weight = np.minimum(values[:-distance], values[distance:])[pair] / distance
        for side in (items[:-distance], items[distance:]):
            total += np.bincount(side[pair], weight, minlength=n_items)
    return total


def _counts(
    users: np.ndarray, items: np.ndarray, values: np.ndarray, at: np.ndarray, window: int, n_items: int
) -> csr_matrix:
    """CSR [items, items]: the weights of the pairs whose one side is a step of ``at``; those are sorted by item."""
    counts = csr_matrix((n_items, n_items), dtype=np.float32)
    distance = np.array([d for d in range(-window, window + 1) if d], np.int64)
    same = identity(n_items, np.float32, format="csr")
    for start in range(0, len(at), PAIRS_AT_ONCE // window):
        step = at[start : start + PAIRS_AT_ONCE // window, None]
        other = np.clip(step + distance, 0, len(users) - 1)
        pair = (users[other] == users[step]) & (other == step + distance)
        weight = (np.minimum(values[other], values[step]) / np.abs(distance).astype(np.float32))[pair]
        pairs = np.bincount(items[step[:, 0]], pair.sum(axis=1), minlength=n_items)
        indptr = np.append(0, np.cumsum(pairs)).astype(np.int64)
        # a product with the identity adds what is there several times, without sorting
        counts = counts + csr_matrix((weight, items[other[pair]], indptr), shape=(n_items, n_items)) @ same
    return counts
