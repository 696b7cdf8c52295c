"""Scores of a matrix factorization."""

import numpy as np


def scores(user_factors: np.ndarray, item_factors: np.ndarray, user_idx: np.ndarray) -> np.ndarray:
    """float32 [B, items] of factors [users, f] and [items, f]."""
    found: np.ndarray = user_factors[user_idx] @ item_factors.T
    return found
