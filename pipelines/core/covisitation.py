"""Co-visitation: what follows an item soon in the sequences of its users."""

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.interactions import Interactions
from pipelines.core.sparse import entries, top_of_rows

Arrays = dict[str, np.ndarray]

RECENT = 20
"""Items of a user that count when it is scored."""


def fit(
    interactions: Interactions,
    at: float,
    rng: np.random.Generator,
    *,
    window: int,
    half_life_days: float,
    neighbours: int,
) -> Arrays:
    """Count pairs of items within ``window`` steps of a user's sequence.

    A pair at distance d weighs 1/d, halved by age like any event; the sum is divided by the square root of both
    items' totals (cosine). Returns the CSR items by items of the best ``neighbours`` of each item (``indptr``,
    ``indices``, ``data``), and the CSR users by items of each user's last items (``recent_*``).
    """
    users, items, values = _sequences(interactions, interactions.decayed(at, half_life_days))
    n_items = len(interactions.item_ids)
    counts = csr_matrix((n_items, n_items))
    for distance in range(1, window + 1):
        same = users[:-distance] == users[distance:]
        one, other = items[:-distance][same], items[distance:][same]
        weight = np.minimum(values[:-distance], values[distance:])[same] / distance
        counts = counts + csr_matrix((weight, (one, other)), shape=(n_items, n_items))
    counts = (counts + counts.T).tocsr()
    counts.setdiag(0)
    counts.eliminate_zeros()
    total = np.sqrt(np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1e-12))
    row = np.repeat(np.arange(n_items), np.diff(counts.indptr))
    similarity = counts.data / (total[row] * total[counts.indices])
    keep = top_of_rows(counts.indptr, similarity, neighbours)
    return {
        "indptr": np.append(0, np.cumsum(np.bincount(row[keep], minlength=n_items))).astype(np.int64),
        "indices": counts.indices[keep].astype(np.int32),
        "data": similarity[keep].astype(np.float32),
        **_recent(interactions),
    }


def score(arrays: Any, user_idx: np.ndarray) -> np.ndarray:
    """float32 [B, items]: the neighbours of a user's last items, summed; -inf where there is no neighbour."""
    n_items = len(arrays["indptr"]) - 1
    user, at = entries(arrays["recent_indptr"], user_idx)
    owner, near = entries(arrays["indptr"], arrays["recent_indices"][at])
    weight = arrays["recent_data"][at][owner] * arrays["data"][near]
    cell = user[owner] * n_items + arrays["indices"][near]
    scores = np.bincount(cell, weight, minlength=len(user_idx) * n_items).astype(np.float32)
    scores[scores == 0] = -np.inf
    return scores.reshape(len(user_idx), n_items)


def led_by(arrays: Any, user_idx: int, item_idx: np.ndarray) -> np.ndarray:
    """int32 [n]: for each of ``item_idx`` [n] that one of the user's last items which adds most to its score, or -1."""
    _, at = entries(arrays["recent_indptr"], np.array([user_idx], np.int32))
    recent = arrays["recent_indices"][at]
    owner, near = entries(arrays["indptr"], recent)
    weight = arrays["recent_data"][at][owner] * arrays["data"][near]
    led = np.full(len(item_idx), -1, np.int32)
    for n, item in enumerate(item_idx):
        hits = np.flatnonzero(arrays["indices"][near] == item)
        if len(hits):
            led[n] = recent[owner[hits[weight[hits].argmax()]]]
    return led


def _sequences(interactions: Interactions, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(user, item, value) sorted by user, then time; immediate repetitions of an item are one step."""
    order = np.lexsort((interactions.epoch_s, interactions.user_idx))
    users, items, values = interactions.user_idx[order], interactions.item_idx[order], values[order]
    first = np.ones(len(users), bool)
    first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    return users[first], items[first], values[first]


def _recent(interactions: Interactions) -> Arrays:
    """CSR users by items of each user's last ``RECENT`` distinct items, newest first, weighing 1/(1 + place)^½."""
    latest = interactions.user_items(np.zeros(len(interactions.weight)))
    flat = latest.indptr  # positions of (user, item) cells
    cell = interactions.user_idx.astype(np.int64) * latest.shape[1] + interactions.item_idx
    cells, inverse = np.unique(cell, return_inverse=True)
    newest = np.full(len(cells), -np.inf)
    np.maximum.at(newest, inverse, interactions.epoch_s)
    keep = top_of_rows(flat, newest, RECENT)
    count = np.minimum(np.diff(flat), RECENT)
    indptr = np.append(0, np.cumsum(count)).astype(np.int64)
    place = np.arange(len(keep)) - np.repeat(indptr[:-1], count)
    return {
        "recent_indptr": indptr,
        "recent_indices": (cells[keep] % latest.shape[1]).astype(np.int32),
        "recent_data": (1.0 / np.sqrt(1.0 + place)).astype(np.float32),
    }
