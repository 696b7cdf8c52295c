"""What a source says of every item, as a table that tests can read."""

import numpy as np

from pipelines.core.models.histories import Histories
from pipelines.core.models.search import Scorer


def dense(scorer: Scorer, histories: Histories, n_items: int) -> np.ndarray:
    """float32 [B, items]; -inf where the source says nothing."""
    user, item = np.divmod(np.arange(histories.users * n_items), n_items)
    scores = scorer.of(user.astype(np.int32), item.astype(np.int32))
    return np.where(np.isnan(scores), -np.inf, scores).reshape(histories.users, n_items)
