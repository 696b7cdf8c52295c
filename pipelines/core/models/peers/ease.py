"""EASE: ridge regression of every item on all the others.

Steck, "Embarrassingly shallow autoencoders for sparse data" (WWW 2019): with P = (XᵀX + λI)⁻¹ the weights are
B = -P / diag(P) by columns, with zeros on the diagonal, and the scores of a user's row x are x·B.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from pipelines.core.models.peers.peer import Scorer, Setting

RIDGES: Final = (300.0, 50.0, 100.0, 1000.0, 3000.0)
FEWER: Final = (300.0, 1000.0)
MANY_ITEMS: Final = 8_000
"""Items from which on fewer ridges are tried: the work grows with the cube of their number."""
MOST_ITEMS: Final = 20_000
BLOCK: Final = 1 << 24
"""Cells of the dense matrix that are made at a time."""


def grid(user_items: csr_matrix) -> list[Setting]:
    """Strengths of the regularization."""
    return [{"ridge": ridge} for ridge in (RIDGES if user_items.shape[1] < MANY_ITEMS else FEWER)]


def obstacle(user_items: csr_matrix, memory: int) -> str | None:
    """Its dense matrices of items by items: one for all ridges, and one for each that is in use."""
    items = user_items.shape[1]
    if items > MOST_ITEMS:
        return f"{items:,} items are more than {MOST_ITEMS:,}, and its work grows with their cube"
    needed = 2 * 4 * items**2
    if needed > memory:
        return f"{items:,} items need {needed / 1e9:.1f} GB for its dense matrices, {memory / 1e9:.1f} GB are free"
    return None


def fit(user_items: csr_matrix, settings: Sequence[Setting], rng: np.random.Generator) -> Iterator[Scorer]:
    """Count how many users items share once, and invert that with each ridge."""
    shared = _shared(user_items)
    for setting in settings:
        yield partial(_score, user_items, _weights(shared, setting["ridge"]))


def _shared(user_items: csr_matrix) -> np.ndarray:
    """XᵀX, float32 [items, items]."""
    items = user_items.shape[1]
    item_users, columns = user_items.T.tocsr(), user_items.tocsc()
    shared = np.empty((items, items), np.float32)
    width = max(1, BLOCK // items)
    for start in range(0, items, width):
        block = slice(start, start + width)
        shared[:, block] = (item_users @ columns[:, block]).toarray()
    return shared


def _weights(shared: np.ndarray, ridge: float) -> np.ndarray:
    """B, float32 [items, items]; ``shared`` stays as it is."""
    regularized = shared.copy()
    regularized[np.diag_indices_from(regularized)] += np.float32(ridge)
    # LAPACK works in place on columns, and of a symmetric matrix the rows are as good
    factor, failed = lapack.spotrf(regularized.T, overwrite_a=True)
    if failed:
        raise np.linalg.LinAlgError(f"XᵀX + {ridge}·I is not positive definite in single precision")
    inverse = lapack.spotri(factor, overwrite_c=True)[0].T  # the lower triangle of these rows
    _mirror(inverse)
    inverse /= -inverse.diagonal().copy()
    np.fill_diagonal(inverse, 0.0)
    return inverse


def _mirror(lower: np.ndarray) -> None:
    """Make a matrix symmetric, in place, whose lower triangle is valid."""
    width = max(1, BLOCK // len(lower))
    for start in range(0, len(lower), width):
        end = start + width
        square = lower[start:end, start:end]
        square[:] = np.tril(square) + np.tril(square, -1).T
        lower[start:end, end:] = lower[end:, start:end].T


def _score(user_items: csr_matrix, weights: np.ndarray, user_idx: np.ndarray) -> np.ndarray:
    scores: np.ndarray = user_items[user_idx] @ weights
    return scores
