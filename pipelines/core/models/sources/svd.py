"""Truncated SVD of the user_items matrix, with item factors that follow what people do now.

With R ≈ U·S·Vᵀ "PureSVD" (Cremonesi, Koren and Turrin, RecSys 2010) scores a user by r·V·Vᵀ: it predicts the user's
whole past, however old. Here ridge regression predicts the recent past Y from the user's factors instead: item factors
Q = Yᵀ·U and scores u·D·Qᵀ with D = S²/(S² + λ), which is r·(RᵀR + λI)⁻¹·Rᵀ·Y within the span of the factors, the
regression of EASE (Steck, WWW 2019) with a target of its own. Y is R's support, halved by age: of the items that are
alike to a user's taste the ones in demand come first. Where Y is R this is PureSVD with damped factors.
"""

from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

from pipelines.core.models.factor_index import FactorScorer, build
from pipelines.core.models.histories import Histories
from pipelines.core.models.kernels import histories as kernels
from pipelines.core.models.past import Past
from pipelines.core.models.search import Arrays

TINY: Final = 1e-9


def fit(
    past: Past, *, factors: int, ridge: float, half_life_days: float, user_scale: float, item_scale: float
) -> Arrays:
    """Factorize R·D⁻ᵖ, where p is ``item_scale`` and D holds the lengths of R's columns ("EigenRec" scaling).

    λ is ``ridge`` times the largest squared singular value. Returns float32 ``fold_factors`` [items, f] and the
    index of the item factors: the scores of a user's row r of weights are r · fold_factors · item_factorsᵀ.
    """
    rank = min(factors, len(past.interactions.user_ids) - 1, past.n_items - 1)
    if rank < 1:  # one user or one item: there is nothing to factorize
        zeros = np.zeros((past.n_items, 1), np.float32)
        return {"fold_factors": zeros, **build(zeros, past.rng()), "user_scale": np.array([user_scale], np.float32)}
    scales = (user_scale, item_scale)
    left, singular, fold = past.shared(("svd", rank, scales), lambda: _factorized(past, rank, *scales))
    damped = singular / (singular**2 + ridge * singular.max() ** 2)
    recent = past.histories.matrix(past.histories.recency(half_life_days), past.n_items)
    return {
        "fold_factors": np.ascontiguousarray(fold * damped, np.float32),
        **build(np.ascontiguousarray(recent.T @ left, np.float32), past.rng()),
        "user_scale": np.array([user_scale], np.float32),
    }


def _factorized(past: Past, rank: int, user_scale: float, item_scale: float) -> tuple[np.ndarray, ...]:
    """(U [users, f], S [f], D⁻ᵖ·V [items, f]) of R·D⁻ᵖ."""
    user_items = weigh(past.histories, past.n_items, user_scale)
    scale = np.maximum(_lengths(user_items), TINY)[:, None] ** np.float32(item_scale)
    scaled = (user_items @ diags(1.0 / scale.ravel())).tocsr()
    left, singular, right = svds(scaled, k=rank, v0=past.rng().standard_normal(min(scaled.shape)).astype(np.float32))
    left, right = _signed(left, right)
    return left, singular, right.T / scale


def weigh(histories: Histories, n_items: int, user_scale: float) -> csr_matrix:
    """CSR float32: log(1 + weight) of each item, each row divided by its length to the power of ``user_scale``."""
    return histories.matrix(_weights(histories, user_scale), n_items)


def _weights(histories: Histories, user_scale: float) -> np.ndarray:
    """float32 [m]."""
    damped = np.log1p(histories.weight)
    if not user_scale:
        return damped
    length = np.sqrt(np.bincount(histories.user_pos, damped**2, histories.users))
    scaled: np.ndarray = damped / np.maximum(length, TINY)[histories.user_pos] ** user_scale
    return scaled.astype(np.float32)


def scorer(arrays: Any, histories: Histories) -> FactorScorer:
    """Nothing is said to users without a history."""
    weights = _weights(histories, float(arrays["user_scale"][0]))
    users = kernels.summed(histories.indptr, histories.item_idx, weights, arrays["fold_factors"])
    return FactorScorer(users, np.diff(histories.indptr) > 0, arrays)


def _lengths(matrix: csr_matrix) -> np.ndarray:
    """Of the columns."""
    lengths: np.ndarray = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
    return lengths


def _signed(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular vectors are unique up to their sign: make the largest entry of each right one positive."""
    largest = np.abs(right).argmax(axis=1)
    sign = np.sign(right[np.arange(len(right)), largest])
    return left * sign, right * sign[:, None]
