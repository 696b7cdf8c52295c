"""Implicit alternating least squares, with item factors that follow what people do now.

The model of Hu, Koren and Volinsky (ICDM 2008) with the loss of Rendle et al. ("Revisiting the Performance of iALS on
Item Recommendation Benchmarks", RecSys 2022): over the support S of the histories, users u and items i with factors p
and q of any row of a side,

    Σ_S (1 − p·q)² + w·Σ_all (p·q)² + λ·Σ_u d_u·‖p_u‖² + λ·Σ_i d_i·‖q_i‖²

where d_u grows with |S_u| + w·items and d_i with |S_i| + w·users, as there, but is 1 on average: so λ is a share of S's
largest singular value, and one share serves logs of any size. Factors vanish where it nears 1.

Each half step is a few steps of conjugate gradients from where the factors are (Takács, Pilászy and Tikk, RecSys
2011). A user's factors come from its history in the same way, whether it was fitted or not.
A last step of the items weighs each observation by its age, so that they follow what people do now; where nothing
ages, it changes nothing.
"""

from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models.factor_index import FactorScorer, build
from pipelines.core.models.histories import Histories
from pipelines.core.models.kernels import als as kernels
from pipelines.core.models.past import Past
from pipelines.core.models.search import Arrays
from pipelines.core.models.sparse import largest_singular_value

STEPS: Final = 2
"""Of conjugate gradients in a half step: it begins where the last one ended."""
LONG_STEPS: Final = 8
"""Of conjugate gradients where it begins far away."""
START: Final = 0.1
"""Length of an item's random factors at the start."""


def fit(past: Past, *, factors: int, unobserved: float, ridge: float, iterations: int, half_life_days: float) -> Arrays:
    """Factorize the support; w is ``unobserved``, λ is ``ridge`` times the largest singular value.

    Returns float32 ``fold_factors`` (of the loss) [items, f], the index of the last step's item factors, ``gram``
    [f, f], w times the inner products of the fold factors, and ``damping`` [2], λ·d of a user with nothing and what
    each item of its history adds.
    """
    users_items = past.histories.support(past.n_items)
    items_users = users_items.T.tocsr()
    ridge *= largest_singular_value(users_items)
    of_users, of_items = (_damping(rows, unobserved, ridge) for rows in (users_items, items_users))
    users = np.zeros((users_items.shape[0], factors), np.float32)
    items = (past.rng().standard_normal((past.n_items, factors)) * START / np.sqrt(factors)).astype(np.float32)
    for _ in range(iterations):
        users = _solved(users_items, items, _gram(items, unobserved), of_users, users, STEPS)
        items = _solved(items_users, users, _gram(users, unobserved), of_items, items, STEPS)
    gram = _gram(items, unobserved)
    users = _solved(users_items, items, gram, of_users, users, STEPS)
    recent = past.histories.matrix(past.histories.recency(half_life_days), past.n_items).T.tocsr()
    lately = _solved(recent, users, _gram(users, unobserved), of_items, items, LONG_STEPS)
    return {"fold_factors": items, "gram": gram, "damping": of_users, **build(lately, past.rng())}


def scorer(arrays: Any, histories: Histories) -> FactorScorer:
    """Nothing is said to users without a history."""
    return FactorScorer(_folded(arrays, histories), np.diff(histories.indptr) > 0, arrays)


def _gram(factors: np.ndarray, unobserved: float) -> np.ndarray:
    return np.float32(unobserved) * (factors.T @ factors)


def _damping(rows: csr_matrix, unobserved: float, ridge: float) -> np.ndarray:
    """float32 [2]: λ·d of an empty row, and what each entry adds."""
    missing = unobserved * rows.shape[1]
    mean = rows.nnz / rows.shape[0] + missing
    return np.array([ridge * missing / mean, ridge / mean], np.float32)


def _folded(arrays: Any, histories: Histories) -> np.ndarray:
    """float32 [B, f]: factors of users, from nothing but their histories."""
    factors = arrays["fold_factors"]
    nothing = np.zeros((histories.users, factors.shape[1]), np.float32)
    support = histories.indptr, histories.item_idx, np.ones(len(histories.item_idx), np.float32)
    return kernels.solved(*support, factors, arrays["gram"], arrays["damping"], nothing, LONG_STEPS)


def _solved(
    rows: csr_matrix, other: np.ndarray, gram: np.ndarray, damping: np.ndarray, start: np.ndarray, steps: int
) -> np.ndarray:
    """Factors of ``rows`` that minimise the loss, weighted by their data, while the ``other`` side's stay; or 0."""
    csr = rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data
    return kernels.solved(*csr, other, gram, damping, start, steps)
