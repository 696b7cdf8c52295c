"""Truncated SVD of the weighted user_items matrix.

"PureSVD" of Cremonesi, Koren and Turrin (RecSys 2010): with R ≈ U·S·Vᵀ a user's scores are r·V·Vᵀ. A user is the
row r of weights alone, so a user that the factors never saw is folded in by the same product.
"""

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

from pipelines.core.interactions import Interactions

Arrays = dict[str, np.ndarray]


def fit(
    interactions: Interactions, at: float, rng: np.random.Generator, *, factors: int, half_life_days: float
) -> Arrays:
    """Factorize: ``item_factors`` float32 [items, f], orthonormal columns; ``user_factors`` float32 [users, f]."""
    user_items = weigh(interactions.user_items(interactions.decayed(at, half_life_days)))
    rank = min(factors, min(user_items.shape) - 1)
    if rank < 1:
        return {
            "item_factors": np.zeros((user_items.shape[1], 1), np.float32),
            "user_factors": np.zeros((user_items.shape[0], 1), np.float32),
        }
    _, _, vt = svds(user_items, k=rank, v0=rng.standard_normal(min(user_items.shape)), return_singular_vectors="vh")
    item_factors = np.ascontiguousarray(_signed(vt)[::-1].T)
    return {
        "item_factors": item_factors.astype(np.float32),
        "user_factors": (user_items @ item_factors).astype(np.float32),
    }


def weigh(user_items: csr_matrix) -> csr_matrix:
    """Damp repetition by log(1 + x), then scale rows to length 1."""
    damped = user_items.copy()
    damped.data = np.log1p(damped.data)
    length = np.sqrt(damped.multiply(damped).sum(axis=1)).A1
    return (diags(1.0 / np.maximum(length, 1e-12)) @ damped).tocsr()


def score(arrays: Any, user_idx: np.ndarray) -> np.ndarray:
    """float32 [B, items]; -inf for unknown users."""
    scores = arrays["user_factors"][user_idx] @ arrays["item_factors"].T
    scores[user_idx < 0] = -np.inf
    return scores


def _signed(vt: np.ndarray) -> np.ndarray:
    """Singular vectors are unique up to their sign: make the largest entry of each row positive."""
    largest = np.abs(vt).argmax(axis=1)
    return vt * np.sign(vt[np.arange(len(vt)), largest])[:, None]
