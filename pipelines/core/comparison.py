"""Compare rankings of the same users: metrics by cut-off, and how sure a difference is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core import metrics, scoring
from pipelines.core.bundle import Bundle
from pipelines.core.interactions import positions
from pipelines.core.labels import Examples

ALL_TIME = "popularity_all_time"
OURS = "recomart"
BASELINE = "popularity"


@dataclass(frozen=True)
class Relevance:
    """CSR users by items of what was relevant; items that the bundle doesn't know come after its own."""

    user_ids: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """int [users]: relevant items of each user."""
        return np.diff(self.indptr)


def relevance(bundle: Bundle, user_ids: np.ndarray, item_ids: np.ndarray) -> Relevance:
    """From pairs (user_ids[i], item_ids[i]), sorted by user."""
    users, count = np.unique(user_ids, return_counts=True)
    indices = positions(bundle.item_ids, item_ids)
    unknown = indices < 0
    indices[unknown] = len(bundle.item_ids) + np.unique(item_ids[unknown], return_inverse=True)[1]
    return Relevance(users, np.append(0, np.cumsum(count)), indices)


def rankings(bundle: Bundle, examples: Examples, k: int) -> dict[str, np.ndarray]:
    """Model -> int32 [B, k] item positions, best first, -1 where its list has ended.

    RecoMart by the scoring path of the service; each source alone in its own order; and the items that most users have
    interacted with, ever. All leave out what a user has seen.
    """
    candidates = examples.candidates
    scores = {OURS: scoring.rank(bundle, candidates, examples.features, examples.at)}
    for s, name in enumerate(bundle.manifest["sources"]):
        scores[name] = -candidates.source_ranks[:, s]
    ranked = {name: _table(scoring.top_k(candidates, score, k), candidates.users, k) for name, score in scores.items()}
    return {**ranked, ALL_TIME: _all_time(bundle, examples, k)}


def by_k(ranked: np.ndarray, relevance: Relevance, n_items: int, ks: Sequence[int]) -> dict[int, dict[str, float]]:
    """Cut-off -> metric -> value, for a ranking int32 [users, ≥max(ks)]."""
    hits = metrics.hits(ranked, relevance.indptr, relevance.indices)
    return {k: metrics.summary(ranked, hits, relevance.count, n_items, k) for k in ks}


def difference(
    one: np.ndarray, other: np.ndarray, rng: np.random.Generator, rounds: int = 1000
) -> tuple[float, float, float]:
    """(mean of one - other [users], bounds of its 95 % interval by a paired bootstrap over users)."""
    gap = one - other
    means = [gap[rng.integers(0, len(gap), len(gap))].mean() for _ in range(rounds)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(gap.mean()), float(low), float(high)


def _table(top: scoring.TopK, users: int, k: int) -> np.ndarray:
    table = np.full((users, k), -1, np.int32)
    table[top.user_pos, top.rank] = top.item_idx
    return table


def _all_time(bundle: Bundle, examples: Examples, k: int) -> np.ndarray:
    user_idx = positions(bundle.user_ids, examples.user_ids)
    users = np.bincount(bundle.seen_indices, minlength=len(bundle.item_ids)).astype(np.float32)
    dense = scoring.mask_seen(bundle, np.tile(users, (len(user_idx), 1)), user_idx)
    row, item, place = scoring.best_cells(dense, k)
    table = np.full((len(user_idx), k), -1, np.int32)
    table[row, place] = item
    return table
