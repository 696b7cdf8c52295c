"""Popularity: the same items for everybody, those that most users ever interacted with.

The baseline of Cremonesi, Koren, Turrin, "Performance of recommender algorithms on top-N recommendation tasks" (RecSys
2010), there called TopPop.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models.peers.peer import Scorer, Setting


def grid(user_items: csr_matrix) -> list[Setting]:
    """There is nothing to choose."""
    return [{}]


def fit(user_items: csr_matrix, settings: Sequence[Setting], rng: np.random.Generator) -> Iterator[Scorer]:
    """Count the users of each item."""
    users = np.bincount(user_items.indices, minlength=user_items.shape[1]).astype(np.float32)
    for _ in settings:
        yield lambda user_idx: np.tile(users, (len(user_idx), 1))
