"""What the ranker reads, the blend, and the trees."""

import numpy as np

from pipelines.core.models.compiling import FLOAT_ROWS, FLOATS, INT, INT32S, INT64S, UINT32S, WRITTEN_FLOAT_ROWS, kernel

ROWS_AT_ONCE = 64
"""Rows whose inputs stay in the processor's nearest cache while all trees read them."""


@kernel(WRITTEN_FLOAT_ROWS, INT64S, FLOAT_ROWS, FLOAT_ROWS, FLOAT_ROWS)
def write_sources(
    out: np.ndarray, indptr: np.ndarray, scores: np.ndarray, ranks: np.ndarray, signals: np.ndarray
) -> None:
    """Write score, score over the user's best and place of each source, then the signals: the first columns.

    ``indptr`` int64 [B + 1] bounds the rows of each user.
    """
    sources = scores.shape[1]
    best = np.empty(sources, np.float32)
    for user in range(len(indptr) - 1):
        best[:] = np.nan
        for n in range(indptr[user], indptr[user + 1]):
            for s in range(sources):
                if not best[s] >= scores[n, s]:
                    best[s] = scores[n, s] if scores[n, s] > 0 else best[s]
        for n in range(indptr[user], indptr[user + 1]):
            for s in range(sources):
                out[n, 3 * s] = scores[n, s]
                out[n, 3 * s + 1] = scores[n, s] / best[s]
                out[n, 3 * s + 2] = ranks[n, s]
            for j in range(signals.shape[1]):
                out[n, 3 * sources + j] = signals[n, j]


@kernel(WRITTEN_FLOAT_ROWS, UINT32S, FLOATS, UINT32S, FLOAT_ROWS, INT32S)
def write_shared(
    out: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    item_columns: np.ndarray,
    items: np.ndarray,
    item_idx: np.ndarray,
) -> None:
    """Write the ``values`` [c] into all rows of ``columns`` [c], and each row's of ``items`` [items, d] into others."""
    for n in range(len(out)):
        for j in range(len(columns)):
            out[n, columns[j]] = values[j]
        for j in range(len(item_columns)):
            out[n, item_columns[j]] = items[item_idx[n], j]


@kernel(FLOAT_ROWS, INT64S, FLOATS, FLOATS)
def blended(inputs: np.ndarray, columns: np.ndarray, weights: np.ndarray, standings: np.ndarray) -> np.ndarray:
    """float32 [n]: the weighed sum, in order, of the ``standings`` of the places in some columns; NaN is the last."""
    out = np.zeros(len(inputs), np.float32)
    last = len(standings) - 1
    for n in range(len(inputs)):
        for s in range(len(columns)):
            place = inputs[n, columns[s]]
            out[n] += weights[s] * standings[last if not place < last else np.int64(place)]
    return out


@kernel(FLOAT_ROWS, FLOATS, UINT32S, FLOATS, UINT32S, INT64S, UINT32S, FLOATS, UINT32S, FLOATS, INT)
def boosted(
    inputs: np.ndarray,
    start: np.ndarray,
    columns: np.ndarray,
    in_place_of_nan: np.ndarray,
    root: np.ndarray,
    depth: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
    value: np.ndarray,
    trees: int,
) -> np.ndarray:
    """float32 [n]: ``start`` [n] and what the first ``trees`` trees add, in their order; see ``core/models/forest.py``.

    No step depends on a guess of the processor: each row takes as many as its tree is deep, and waits in its leaf.
    """
    out = start.copy()
    seen = np.zeros((ROWS_AT_ONCE, len(columns) + 1), np.float32)
    for low in range(0, len(inputs), ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, len(inputs) - low)
        for n in range(rows):
            for j in range(len(columns)):
                x = inputs[low + n, columns[j]]
                seen[n, j] = in_place_of_nan[j] if np.isnan(x) else x
        for tree in range(trees):
            for n in range(rows):
                node = np.uint64(root[tree])
                for _ in range(depth[tree]):
                    node = np.uint64(left[node]) + np.uint64(seen[n, feature[node]] >= threshold[node])
                out[low + n] += value[node]
    return out
