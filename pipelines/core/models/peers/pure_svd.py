"""PureSVD: the truncated singular value decomposition of the interactions, zeros included.

Cremonesi, Koren, Turrin, "Performance of recommender algorithms on top-N recommendation tasks" (RecSys 2010): the
scores of a user's row r are r·V·Vᵀ, where V holds the f right singular vectors of the largest singular values.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from pipelines.core.models.peers.peer import Scorer, Setting

FACTORS: Final = (64, 8, 16, 32, 128)
MANY: Final = 5_000_000
"""Interactions from which on the most factors of the grid are left out: they take twice as long as half of them."""


def grid(user_items: csr_matrix) -> list[Setting]:
    """Numbers of factors."""
    return [{"factors": factors} for factors in FACTORS if factors < max(FACTORS) or user_items.nnz < MANY]


def fit(user_items: csr_matrix, settings: Sequence[Setting], rng: np.random.Generator) -> Iterator[Scorer]:
    """Decompose once, for the most factors that are asked for; fewer are the first of them."""
    most = int(max(setting["factors"] for setting in settings))
    rank = min(most, min(user_items.shape) - 1)
    if rank < 1:  # one user or one item: there is nothing to decompose
        vectors = np.ones((user_items.shape[1], 1), np.float32)
    else:
        start = rng.standard_normal(min(user_items.shape)).astype(np.float32)
        _, _, right = svds(user_items, k=rank, v0=start, return_singular_vectors="vh")
        vectors = right[::-1].T  # svds returns them from the smallest singular value on
    for setting in settings:
        yield partial(_score, user_items, np.ascontiguousarray(vectors[:, : int(setting["factors"])]))


def _score(user_items: csr_matrix, vectors: np.ndarray, user_idx: np.ndarray) -> np.ndarray:
    scores: np.ndarray = (user_items[user_idx] @ vectors) @ vectors.T
    return scores
