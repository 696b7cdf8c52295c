"""A blend of the candidate sources: what the ranker starts from, and all there is where data are few.

A candidate that a source ranks r-th (from 0) stands at −log(r + 10) with it; a blend is the sum of the standings,
weighed. Ranks make sources of any scale comparable, the offset keeps the first places from drowning the rest.
"""

from typing import Final

import numpy as np

from pipelines.core.models.kernels import ranking as kernels

OFFSET: Final = 10.0
LAST: Final = 1000.0
"""Where a candidate stands with a source that says nothing of it."""
PENALTY: Final = 0.01
LEAST: Final = 1e-4
"""The least weight of a source: it breaks ties, such as all candidates of a user of whom the others know nothing."""


def standings(ranks: np.ndarray) -> np.ndarray:
    """float32 [n, S]: how candidates stand with the sources that rank them ``ranks`` [n, S]; NaN is last."""
    placed = np.minimum(np.nan_to_num(ranks, nan=LAST), LAST)
    return -np.log(placed + np.float32(OFFSET)).astype(np.float32)


def margin(weights: np.ndarray, inputs: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float32 [n]: the blend of the ranks in some ``columns`` int64 [S] of float32 [n, F], larger is better.

    ``weights``: float32 [S]. Summed source by source: a matrix product may sum in another order where there are more or
    fewer candidates.
    """
    return kernels.blended(inputs, columns, weights, STANDINGS)


STANDINGS: Final = standings(np.arange(LAST + 1, dtype=np.float32))
"""float32 [LAST + 1], by the rank; the last one is also that of no rank."""


def fit(ranks: np.ndarray, gains: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Weights float64 [S], all positive, that make the gained candidates of each group likely.

    Minimizes the listwise softmax cross-entropy (ListNet; Cao et al., ICML 2007) with a small quadratic penalty.
    ``ranks``: [n, S]; ``gains``: float [n], 0 where nothing came of a candidate, each group with some; ``group``: [n].
    """
    rows = standings(ranks).astype(np.float64)
    _, user = np.unique(group, return_inverse=True)
    users = int(user.max()) + 1
    share = gains / np.bincount(user, gains, users)[user]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = rows @ weights
        highest = np.full(users, -np.inf)
        np.maximum.at(highest, user, scores)
        odds = np.exp(scores - highest[user])
        total = np.bincount(user, odds, users)
        logs = scores - highest[user] - np.log(total)[user]
        slope = rows.T @ (odds / total[user] - share) / users + 2 * PENALTY * weights
        return -(share @ logs) / users + PENALTY * float(weights @ weights), slope

    from scipy.optimize import minimize  # takes half a second, and the service fits no blend

    start = np.full(rows.shape[1], 1.0 / rows.shape[1])
    found = minimize(loss, start, jac=True, bounds=[(LEAST, None)] * rows.shape[1], method="L-BFGS-B")
    weights: np.ndarray = found.x
    return weights
