import numpy as np

from pipelines.core.models.past import Past
from pipelines.core.models.sources import als
from tests.core.models.sources.logs import met

OPTIONS = {"factors": 2, "unobserved": 0.3, "ridge": 0.05, "half_life_days": 1e9}
EVENTS = [(0, 0, 5), (0, 1, 4), (1, 0, 3), (1, 1, 3), (2, 1, 9), (2, 2, 2), (3, 2, 8), (3, 3, 8), (4, 3, 2)]


def minimum(weights: np.ndarray, other: np.ndarray, unobserved: float, ridge: float) -> np.ndarray:
    """The factors of each row of ``weights`` [rows, others] that minimise the loss, a row at a time."""
    support = weights > 0
    damping = support.sum(axis=1) + unobserved * len(other)
    damping = ridge * np.linalg.norm(support, 2) * damping / damping.mean()
    factors = []
    for row, damped in zip(weights, damping, strict=True):
        left = (other.T * (row + unobserved)) @ other + damped * np.eye(other.shape[1])
        factors.append(np.linalg.solve(left, other.T @ row))
    return np.array(factors)


def dense(log: Past, values: np.ndarray) -> np.ndarray:
    return log.histories.matrix(values, log.n_items).toarray()


def test_als_folds_in_the_factors_that_minimise_the_loss() -> None:
    log = met(*EVENTS, items=4)
    fitted = als.fit(log, iterations=3, **OPTIONS)
    users = minimum(dense(log, np.ones(len(EVENTS))), fitted["fold_factors"].astype(np.float64), 0.3, 0.05)
    np.testing.assert_allclose(als._folded(fitted, log.histories), users, rtol=1e-4, atol=1e-6)


def test_als_comes_to_rest_where_each_side_minimises_the_loss() -> None:
    log = met(*EVENTS, items=4)
    items = als.fit(log, iterations=500, **OPTIONS)["fold_factors"].astype(np.float64)
    support = dense(log, np.ones(len(EVENTS)))
    users = minimum(support, items, 0.3, 0.05)
    np.testing.assert_allclose(minimum(support.T, users, 0.3, 0.05), items, rtol=1e-3, atol=1e-5)
    assert np.abs(items).max() > 0.1


def test_als_weighs_what_was_done_by_its_age_in_the_last_step() -> None:
    log = met(*EVENTS, items=4)
    fitted = als.fit(log, iterations=100, **OPTIONS | {"half_life_days": 2.0})
    users = als._folded(fitted, log.histories).astype(np.float64)
    expected = minimum(dense(log, log.histories.recency(2.0)).T, users, 0.3, 0.05)
    np.testing.assert_allclose(fitted["item_factors"], expected, rtol=1e-3, atol=1e-5)


def test_als_changes_nothing_in_the_last_step_where_nothing_ages() -> None:
    fitted = als.fit(met(*EVENTS, items=4), iterations=500, **OPTIONS)
    np.testing.assert_allclose(fitted["item_factors"], fitted["fold_factors"], rtol=1e-3, atol=1e-5)
