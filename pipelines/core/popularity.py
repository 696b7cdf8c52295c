"""Recent popularity: what everybody wants these days."""

from typing import Any

import numpy as np

from pipelines.core.interactions import Interactions

Arrays = dict[str, np.ndarray]


def fit(interactions: Interactions, at: float, rng: np.random.Generator, *, half_life_days: float) -> Arrays:
    """Score each item by the decayed number of its interactions: ``scores`` float32 [items]."""
    values = interactions.decayed(at, half_life_days)
    scores = np.bincount(interactions.item_idx, values, minlength=len(interactions.item_ids))
    return {"scores": scores.astype(np.float32)}


def score(arrays: Any, user_idx: np.ndarray) -> np.ndarray:
    """float32 [B, items], the same row for everybody, known or not."""
    return np.tile(arrays["scores"], (len(user_idx), 1))
