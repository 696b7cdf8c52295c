"""Ranking metrics with binary relevance, averaged over users; and what the lists are like beside being right.

For a user let G be the relevant items, and rel_i = 1 where the item at place i (from 1) is in G, else 0.

- precision@K = Σ_{i≤K} rel_i / K
- recall@K = Σ_{i≤K} rel_i / |G|
- ndcg@K = Σ_{i≤K} rel_i / log2(i + 1), divided by Σ_{i≤min(K,|G|)} 1 / log2(i + 1)   (Järvelin, Kekäläinen 2002)
- map@K = mean over users of Σ_{i≤K} rel_i · precision@i / min(K, |G|)
- mrr@K = mean over users of 1 / (the place of the first relevant item), 0 where none stands among the first K
- coverage@K = distinct items among everybody's first K places / items in the catalogue

For a list let n ≤ K be its items, and share_i the share of all users who had interacted with item i before the cut.

- novelty@K = Σ_{i≤n} -log2(share_i) / n, in bits, averaged over lists   (Zhou et al., PNAS 2010)
- diversity@K = mean over the list's pairs of 1 - cosine(i, j), averaged over lists of two items or more; the cosine is
  that of the sets of users, users of both / √(users of i · users of j)   (Ziegler et al., WWW 2005)
- arp@K = Σ_{i≤n} share_i / n, averaged over lists: the average recommendation popularity
  (Yin et al., VLDB 2012; Abdollahpouri et al., FLAIRS 2019)
- gini@K = Σ_r (2r - N - 1) · x_r / (N · Σ x), of how often each of the catalogue's N items is shown, x_1 ≤ … ≤ x_N:
  0 is each equally often, 1 is always the same one   (Gunawardana, Shani 2015)

A list shorter than K is padded with misses. Users without relevant items aren't counted.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

PER_USER: Final = ("precision", "recall", "ndcg", "map", "mrr")
NAMES: Final = (*PER_USER, "coverage")
BEYOND: Final = ("novelty", "diversity", "arp", "gini")
"""What the lists are like, whatever is relevant."""

_CELLS: Final = 4_000_000
"""Of a block of item-to-item similarities."""


def hits(ranked: np.ndarray, relevant_indptr: np.ndarray, relevant_indices: np.ndarray) -> np.ndarray:
    """bool [users, K]: whether the item at each place is relevant.

    ``ranked``: int32 [users, K] item positions, best first, -1 where the list has ended; ``relevant_*``: CSR
    users by items.
    """
    users = np.arange(len(ranked))
    owner = np.repeat(users, np.diff(relevant_indptr))
    stride = int(max(ranked.max(initial=-1), relevant_indices.max(initial=-1))) + 1
    cells = users[:, None] * stride + ranked
    found: np.ndarray = np.isin(cells, owner * stride + relevant_indices) & (ranked >= 0)
    return found


def per_user(hits: np.ndarray, relevant: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Each metric of PER_USER for every user: float64 [users].

    ``hits``: bool [users, ≥k]; ``relevant``: int [users], |G|, at least 1.
    """
    first = hits[:, :k].astype(float)
    place = np.arange(1, k + 1)
    discount = 1.0 / np.log2(place + 1.0)
    reachable = np.minimum(relevant, k)
    precision_at = np.cumsum(first, axis=1) / place
    return {
        "precision": first.sum(axis=1) / k,
        "recall": first.sum(axis=1) / relevant,
        "ndcg": (first @ discount) / np.cumsum(discount)[reachable - 1],
        "map": (first * precision_at).sum(axis=1) / reachable,
        "mrr": (first / place).max(axis=1, initial=0.0),
    }


def summary(ranked: np.ndarray, hits: np.ndarray, relevant: np.ndarray, n_items: int, k: int) -> dict[str, float]:
    """Every metric of NAMES at ``k``, averaged over the users; 0 where there are none."""
    means = {name: float(values.mean()) if len(values) else 0.0 for name, values in per_user(hits, relevant, k).items()}
    shown = ranked[:, :k]
    return {**means, "coverage": len(np.unique(shown[shown >= 0])) / n_items}


def beyond(ranked: np.ndarray, user_items: csr_matrix, ks: Iterable[int]) -> dict[int, dict[str, float]]:
    """Cut-off -> each metric of BEYOND; 0 where no list has an item, of diversity where none has two.

    ``ranked`` as in ``hits``; ``user_items``: CSR users by items, an entry for each item a user had interacted with.
    """
    count = np.bincount(user_items.indices, minlength=user_items.shape[1])
    share = (count / max(user_items.shape[0], 1))[ranked]
    distances = _distances(ranked, user_items)
    found = {}
    for k in ks:
        inside = ranked[:, :k] >= 0
        shares = np.where(inside, share[:, :k], np.nan)
        shown = np.bincount(ranked[:, :k][inside], minlength=user_items.shape[1])
        found[k] = {
            "novelty": _mean_of_lists(-np.log2(np.where(shares > 0, shares, np.nan))),
            "diversity": _mean_of_lists(distances[:, : k * (k - 1) // 2]),
            "arp": _mean_of_lists(shares),
            "gini": gini(shown),
        }
    return found


def gini(counts: np.ndarray) -> float:
    """0 where all ``counts`` [n] are equal, (n - 1) / n where one has it all."""
    n, total = len(counts), counts.sum()
    if not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(counts) / (n * total))


def ndcg_of(scores: np.ndarray, relevant: np.ndarray, user: np.ndarray, k: int) -> float:
    """The mean of ``ndcg_of_each``."""
    return float(ndcg_of_each(scores, relevant, user, k).mean())


def ndcg_of_each(scores: np.ndarray, relevant: np.ndarray, user: np.ndarray, k: int) -> np.ndarray:
    """float64 [users with a relevant candidate]: ndcg@``k`` where the scored candidates are all there is.

    ``scores``, ``relevant`` (bool) and ``user`` (int, from 0 without gaps): [n]. Ties go to the earlier candidate; NaN
    is last.
    """
    order = np.lexsort((-scores, user))
    place = np.arange(len(order)) - np.searchsorted(user[order], user[order])
    first = place < k
    hits = np.zeros((int(user.max(initial=-1)) + 1, k), bool)
    hits[user[order][first], place[first]] = relevant[order][first]
    wanted = np.bincount(user, relevant).astype(int)
    return per_user(hits[wanted > 0], wanted[wanted > 0], k)["ndcg"]


def _mean_of_lists(values: np.ndarray) -> float:
    """The mean over rows of each row's mean, both over what isn't NaN."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    rows = count > 0
    if not rows.any():
        return 0.0
    return float((np.where(known, values, 0.0).sum(axis=1)[rows] / count[rows]).mean())


def _distances(ranked: np.ndarray, user_items: csr_matrix) -> np.ndarray:
    """float32 [lists, K·(K - 1)/2]: 1 - cosine of each pair of places, NaN where one is empty.

    Ordered by the later place, so that the pairs of the first k places come first. The similarities of the items that
    are shown are computed a block of items at a time, never all at once.
    """
    later, earlier = np.tril_indices(ranked.shape[1], -1)
    shown, inverse = np.unique(ranked, return_inverse=True)
    compact = inverse.reshape(ranked.shape)
    columns = user_items[:, np.maximum(shown, 0)].astype(np.float32)
    columns.data[:] = 1.0
    length = np.sqrt(np.maximum(np.asarray(columns.sum(axis=0)).ravel(), 1.0)).astype(np.float32)
    one, other = compact[:, earlier].ravel(), compact[:, later].ravel()
    order = np.argsort(one, kind="stable")
    by_item, transposed = one[order], columns.T.tocsr()
    distances = np.empty(len(one), np.float32)
    height = max(1, _CELLS // max(len(shown), 1))
    for start in range(0, len(shown), height):
        pairs = order[slice(*np.searchsorted(by_item, [start, start + height]))]
        block = (transposed[start : start + height] @ columns).toarray() / length
        distances[pairs] = 1.0 - block[one[pairs] - start, other[pairs]] / length[one[pairs]]
    empty = (ranked[:, earlier] < 0) | (ranked[:, later] < 0)
    return np.where(empty, np.nan, distances.reshape(empty.shape)).astype(np.float32)
