"""The one scoring path: candidates → ranker → best k. Evaluation and HTTP call these functions on the same bundle."""

from collections.abc import Mapping

import numpy as np

from pipelines.core import ranking
from pipelines.core.bundle import Bundle
from pipelines.core.candidates import Candidates, TopK
from pipelines.core.errors import ModelError
from pipelines.core.sources import SOURCES
from pipelines.core.sparse import entries

__all__ = ["Candidates", "TopK", "best_cells", "candidates", "mask_seen", "rank", "top_k"]


def candidates(bundle: Bundle, user_idx: np.ndarray, n_per_source: int) -> Candidates:
    """Propose at most ``n_per_source`` unseen items of each source for each of ``user_idx`` int32 [B].

    A user of -1 is unknown: nothing is seen, and only sources that need no history propose.
    """
    user_idx = np.asarray(user_idx, np.int32)
    n_items = len(bundle.item_ids)
    scores, cells, ranks = [], [], []
    for name in bundle.manifest["sources"]:
        dense = mask_seen(bundle, SOURCES[name].score(bundle.sources[name], user_idx), user_idx)
        rows, items, places = best_cells(dense, n_per_source)
        scores.append(dense.ravel())
        cells.append(rows * n_items + items)
        ranks.append(places)
    merged = np.unique(np.concatenate(cells))
    source_scores = np.stack([s[merged] for s in scores], axis=1)
    source_scores[np.isneginf(source_scores)] = np.nan
    source_ranks = np.full(source_scores.shape, np.nan, np.float32)
    for s, (cell, place) in enumerate(zip(cells, ranks, strict=True)):
        source_ranks[np.searchsorted(merged, cell), s] = place
    return Candidates(
        users=len(user_idx),
        user_pos=(merged // n_items).astype(np.int32),
        item_idx=(merged % n_items).astype(np.int32),
        source_scores=source_scores,
        source_ranks=source_ranks,
        source=np.nan_to_num(source_ranks, nan=np.inf).argmin(axis=1).astype(np.int8),
    )


def rank(
    bundle: Bundle, candidates: Candidates, features: Mapping[str, float | np.ndarray], at: float | np.ndarray
) -> np.ndarray:
    """float32 [n]: the ranker's score of each candidate, larger is better.

    ``features``: full feature name -> float64 [n] or a scalar for all; NaN where absent. ``at``: "now" in epoch
    seconds, one for all or float64 [B].

    Raises:
        ModelError: the bundle has no ranker, or a feature that it needs is not there.
    """
    if bundle.ranker is None:
        raise ModelError("this bundle has no ranker: it can only propose candidates")
    manifest = bundle.manifest
    inputs = ranking.inputs(manifest["sources"], candidates, features, at, manifest["feature_service"])
    return ranking.predict(bundle.ranker, inputs)


def top_k(candidates: Candidates, scores: np.ndarray, k: int, keep: np.ndarray | None = None) -> TopK:
    """The ``k`` best candidates of each user by ``scores`` [n]; ties go to the smaller item_idx.

    ``keep``: bool [n], candidates that may be shown; all where None. Candidates scored NaN are never shown.
    """
    keep = ~np.isnan(scores) if keep is None else keep & ~np.isnan(scores)
    chosen = np.flatnonzero(keep)
    order = chosen[np.lexsort((candidates.item_idx[chosen], -scores[chosen], candidates.user_pos[chosen]))]
    user = candidates.user_pos[order]
    place = np.arange(len(order)) - np.searchsorted(user, user)
    order, place = order[place < k], place[place < k]
    return TopK(
        user_pos=candidates.user_pos[order],
        item_idx=candidates.item_idx[order],
        scores=scores[order].astype(np.float32),
        source=candidates.source[order],
        rank=place.astype(np.int32),
    )


def mask_seen(bundle: Bundle, scores: np.ndarray, user_idx: np.ndarray) -> np.ndarray:
    """``scores`` [B, items] with -inf (in place) where the user has seen the item."""
    row, at = entries(bundle.seen_indptr, user_idx)
    scores[row, bundle.seen_indices[at]] = -np.inf
    return scores


def best_cells(scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, rank from 0) of the ``n`` largest finite scores of each row of [B, items]; ties by column."""
    n = min(n, scores.shape[1])
    columns = np.argpartition(-scores, n - 1, axis=1)[:, :n]
    columns.sort(axis=1)
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    columns, values = np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)
    row, place = np.nonzero(np.isfinite(values))
    return row, columns[row, place], place
