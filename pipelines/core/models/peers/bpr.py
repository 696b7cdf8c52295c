"""BPR: matrix factorization that learns to rank what a user did above what it didn't.

Rendle, Freudenthaler, Gantner, Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit feedback" (UAI 2009),
by the library ``implicit``.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models.peers import native
from pipelines.core.models.peers.factors import scores
from pipelines.core.models.peers.peer import Scorer, Setting

FACTORS: Final = 64
GRID: Final[Sequence[Setting]] = (
    {"learning_rate": 0.01, "regularization": 0.01},
    {"learning_rate": 0.01, "regularization": 0.05},
    {"learning_rate": 0.05, "regularization": 0.05},
)
MOST_STEPS: Final = 200_000_000
"""Steps of gradient descent of one fit; with more than two million interactions its epochs become fewer."""
EPOCHS: Final = (10, 100)
"""The fewest and the most."""


def grid(user_items: csr_matrix) -> Sequence[Setting]:
    """Learning rates and regularizations; no choice where a fit takes minutes."""
    return GRID if user_items.nnz * EPOCHS[1] <= MOST_STEPS else GRID[:1]


def epochs(user_items: csr_matrix) -> int:
    """How often each interaction is learned from."""
    return int(np.clip(MOST_STEPS // max(1, user_items.nnz), *EPOCHS))


def fit(user_items: csr_matrix, settings: Sequence[Setting], rng: np.random.Generator) -> Iterator[Scorer]:
    """Descend in one thread: several write over each other's steps, and no fit could be repeated."""
    for setting in settings:
        with native.own_threads():
            from implicit.cpu.bpr import BayesianPersonalizedRanking

            model = BayesianPersonalizedRanking(
                factors=FACTORS,
                learning_rate=setting["learning_rate"],
                regularization=setting["regularization"],
                iterations=epochs(user_items),
                num_threads=1,
                random_state=rng,
            )
            model.fit(user_items, show_progress=False)
        yield partial(scores, model.user_factors, model.item_factors)
