"""Ranking metrics with binary relevance, averaged over users.

For a user let G be the relevant items, and rel_i = 1 where the item at place i (from 1) is in G, else 0.

- precision@K = Σ_{i≤K} rel_i / K
- recall@K = Σ_{i≤K} rel_i / |G|
- ndcg@K = Σ_{i≤K} rel_i / log2(i + 1), divided by Σ_{i≤min(K,|G|)} 1 / log2(i + 1)   (Järvelin, Kekäläinen 2002)
- map@K = mean over users of Σ_{i≤K} rel_i · precision@i / min(K, |G|)
- coverage@K = distinct items among everybody's first K places / items in the catalogue

A list shorter than K is padded with misses. Users without relevant items aren't counted.
"""

from typing import Final

import numpy as np

NAMES: Final = ("precision", "recall", "ndcg", "map", "coverage")


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
    """Each metric but coverage, for every user: float64 [users].

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
    }


def summary(ranked: np.ndarray, hits: np.ndarray, relevant: np.ndarray, n_items: int, k: int) -> dict[str, float]:
    """Every metric at ``k``, averaged over the users; 0 where there are none."""
    means = {name: float(values.mean()) if len(values) else 0.0 for name, values in per_user(hits, relevant, k).items()}
    shown = ranked[:, :k]
    return {**means, "coverage": len(np.unique(shown[shown >= 0])) / n_items}


def ndcg_of(scores: np.ndarray, relevant: np.ndarray, user: np.ndarray, k: int) -> float:
    """Mean ndcg@``k`` of users whose scored candidates are all there is; ties go to the earlier candidate.

    ``scores``, ``relevant`` (bool) and ``user`` (int, from 0 without gaps): [n].
    """
    order = np.lexsort((np.arange(len(scores)), -scores, user))
    place = np.arange(len(order)) - np.searchsorted(user[order], user[order])
    first = place < k
    hits = np.zeros((int(user.max(initial=-1)) + 1, k), bool)
    hits[user[order][first], place[first]] = relevant[order][first]
    wanted = np.bincount(user, relevant).astype(int)
    return float(per_user(hits[wanted > 0], wanted[wanted > 0], k)["ndcg"].mean())
