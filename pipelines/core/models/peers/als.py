"""Implicit ALS: matrix factorization in which every interaction is trusted more than every missing one.

Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets" (ICDM 2008), solved as in Takács,
Pilászy, Tikk, "Applications of the conjugate gradient method for implicit feedback collaborative filtering" (RecSys
2011) by the library ``implicit``.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models.peers import native
from pipelines.core.models.peers.factors import scores
from pipelines.core.models.peers.peer import Scorer, Setting

ITERATIONS: Final = 15
GRID: Final[Sequence[Setting]] = (
    {"factors": 64, "regularization": 1.0, "alpha": 1.0},
    {"factors": 64, "regularization": 1.0, "alpha": 10.0},
    {"factors": 32, "regularization": 1.0, "alpha": 1.0},
    {"factors": 32, "regularization": 1.0, "alpha": 5.0},
)
MANY: Final = 3_000_000
"""Interactions from which on only half of the grid is tried."""


def grid(user_items: csr_matrix) -> Sequence[Setting]:
    """``alpha`` is the confidence in an interaction, 1 that in a missing one."""
    return GRID if user_items.nnz < MANY else GRID[:2]


def fit(user_items: csr_matrix, settings: Sequence[Setting], rng: np.random.Generator) -> Iterator[Scorer]:
    """Alternate fifteen times."""
    for setting in settings:
        with native.own_threads():
            from implicit.cpu.als import AlternatingLeastSquares

            model = AlternatingLeastSquares(
                factors=int(setting["factors"]),
                regularization=setting["regularization"],
                alpha=setting["alpha"],
                iterations=ITERATIONS,
                random_state=rng,
            )
            model.fit(user_items, show_progress=False)
        yield partial(scores, model.user_factors, model.item_factors)
