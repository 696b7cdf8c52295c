"""Truncated SVD of the weighted user_items matrix.

"PureSVD" of Cremonesi, Koren and Turrin (RecSys 2010): with R ≈ U·S·Vᵀ a user's scores are r·V·Vᵀ. A user is the
row r of weights alone, so a user that the factors never saw is folded in by the same product r·fold_factors.
"""

from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

from pipelines.core.interactions import Interactions

Arrays = dict[str, np.ndarray]
TINY: Final = 1e-9


def fit(
    interactions: Interactions,
    at: float,
    rng: np.random.Generator,
    *,
    factors: int,
    half_life_days: float,
    user_scale: float,
    item_scale: float,
) -> Arrays:
    """Factorize R·D⁻ᵖ, where p is ``item_scale`` and D holds the lengths of R's columns ("EigenRec" scaling).

    Without the scaling the factors serve the popular items most (Nikolakopoulos et al. 2019). Returns float32
    ``fold_factors`` D⁻ᵖ·V and ``item_factors`` Dᵖ·V [items, f], and ``user_factors`` R·fold_factors [users, f]: a
    user's scores are user_factors · item_factorsᵀ.
    """
    user_items = weigh(interactions.user_items(interactions.decayed(at, half_life_days)), user_scale)
    scale = np.maximum(_lengths(user_items, axis=0), TINY)[:, None] ** item_scale
    rank = min(factors, min(user_items.shape) - 1)
    if rank < 1:  # one user or one item: there is nothing to factorize
        shapes = {"fold_factors": len(scale), "item_factors": len(scale), "user_factors": user_items.shape[0]}
        return {name: np.zeros((rows, 1), np.float32) for name, rows in shapes.items()}
    scaled = user_items @ diags(1.0 / scale.ravel())
    start = rng.standard_normal(min(scaled.shape))
    _, _, vt = svds(scaled.tocsr(), k=rank, v0=start, return_singular_vectors="vh")
    vectors = _signed(vt)[::-1].T
    fold = vectors / scale
    return {
        "fold_factors": fold.astype(np.float32),
        "item_factors": (vectors * scale).astype(np.float32),
        "user_factors": (user_items @ fold).astype(np.float32),
    }


def weigh(user_items: csr_matrix, user_scale: float) -> csr_matrix:
    """Damp repetition by log(1 + x), then divide each row by its length to the power of ``user_scale``."""
    damped = user_items.copy()
    damped.data = np.log1p(damped.data)
    return (diags(np.maximum(_lengths(damped, axis=1), TINY) ** -user_scale) @ damped).tocsr()


def score(arrays: Any, user_idx: np.ndarray) -> np.ndarray:
    """float32 [B, items]; -inf for unknown users."""
    scores = arrays["user_factors"][user_idx] @ arrays["item_factors"].T
    scores[user_idx < 0] = -np.inf
    return scores


def _lengths(matrix: csr_matrix, axis: int) -> np.ndarray:
    lengths: np.ndarray = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=axis)).ravel())
    return lengths


def _signed(vt: np.ndarray) -> np.ndarray:
    """Singular vectors are unique up to their sign: make the largest entry of each row positive."""
    largest = np.abs(vt).argmax(axis=1)
    return vt * np.sign(vt[np.arange(len(vt)), largest])[:, None]
