"""How sure a mean over users is: intervals by the bootstrap, and a paired test.

Users are drawn, not events: what a user does hangs together. All columns share the draws, so what is compared is
compared on the same users (Efron, Tibshirani 1993; for rankings Sakai, SIGIR 2006). The p-value is the randomization
test's (Fisher 1935; Smucker, Allan, Carterette, CIKM 2007): how often would a mean difference be as large if it were
chance which of the two models a user's better value belongs to?
"""

from typing import Final

import numpy as np

ROUNDS: Final = 1000
PERMUTATIONS: Final = 10_000
BOUNDS: Final = (0.025, 0.975)
"""A 95 % interval."""
_CELLS: Final = 4_000_000
"""Of drawn weights in memory."""


def means(values: np.ndarray, rng: np.random.Generator, rounds: int = ROUNDS) -> np.ndarray:
    """float64 [rounds, m]: the means of the columns of ``values`` [n, m] over n rows drawn with replacement."""
    n = len(values)
    drawn = np.empty((rounds, values.shape[1]))
    step = max(1, _CELLS // max(n, 1))
    for start in range(0, rounds, step):
        height = min(step, rounds - start)
        rows = rng.integers(0, n, (height, n)) + np.arange(height)[:, None] * n
        times = np.bincount(rows.ravel(), minlength=height * n).reshape(height, n)
        drawn[start : start + height] = times.astype(np.float64) @ values / n
    return drawn


def interval(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lower, upper) bounds [m] of the 95 % percentile interval of ``drawn`` [rounds, m]."""
    low, high = np.quantile(drawn, BOUNDS, axis=0)
    return low, high


def p_values(differences: np.ndarray, rng: np.random.Generator, permutations: int = PERMUTATIONS) -> np.ndarray:
    """float64 [m]: the two-sided p-value of each column of paired ``differences`` [n, m] having the mean 0.

    At least 1 / (``permutations`` + 1), since the signs as they are count as one of the permutations.
    """
    n = len(differences)
    observed = np.abs(differences.sum(axis=0))
    tolerance = 1e-9 * np.abs(differences).sum(axis=0)  # sums in another order aren't smaller for that
    as_large = np.zeros(differences.shape[1], np.int64)
    step = max(1, _CELLS // max(n, 1))
    for start in range(0, permutations, step):
        signs = 2.0 * rng.integers(0, 2, (min(step, permutations - start), n), dtype=np.int8) - 1.0
        as_large += (np.abs(signs @ differences) >= observed - tolerance).sum(axis=0)
    return (as_large + 1) / (permutations + 1)
