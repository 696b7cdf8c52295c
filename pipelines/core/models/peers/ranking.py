"""The best unseen items of each user by a peer's scores, in a bounded memory."""

from typing import Final

import numpy as np

from pipelines.core.models import scoring, search
from pipelines.core.models.histories import Histories
from pipelines.core.models.peers.peer import Scorer

CELLS: Final = 1 << 24
"""Scores at a time: 64 MB."""


def rank(scorer: Scorer, histories: Histories, user_idx: np.ndarray, n_items: int, k: int) -> np.ndarray:
    """int32 [B, k]: the best items that a user has not seen, best first, ties by position, -1 where there are no more.

    ``histories``: of all users, those of ``user_idx`` [B] among them.
    """
    ranked = np.full((len(user_idx), k), -1, np.int32)
    batch = max(1, CELLS // n_items)
    for start in range(0, len(user_idx), batch):
        some = user_idx[start : start + batch]
        scores = scoring.mask_seen(histories.take(some), scorer(some))
        row, item, place = search.best_cells(scores, k)
        ranked[start + row, place] = item
    return ranked
