"""What a user has had before, where things may repeat: often and lately first."""

from typing import Any

import numpy as np

from pipelines.core.models.histories import Histories
from pipelines.core.models.past import Past
from pipelines.core.models.search import Arrays, Sparse


def fit(past: Past, *, half_life_days: float) -> Arrays:
    """Nothing is learned: a history says it all."""
    return {"n_items": np.array([past.n_items]), "half_life_days": np.array([half_life_days])}


def scorer(arrays: Any, histories: Histories) -> Sparse:
    """log(1 + weight) of the items of a history, halved with age."""
    strength = np.log1p(histories.weight) * histories.recency(float(arrays["half_life_days"][0]))
    return Sparse.summed(histories.indptr, histories.item_idx, strength, int(arrays["n_items"][0]))
