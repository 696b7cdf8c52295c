"""Well-set peers: what is chosen by hand elsewhere is chosen here by the task itself, one window earlier.

Where that window holds too few users, the last items of each user are what it is chosen by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models import histories, leave_last
from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.peers.holdout import Holdout, hold, measure, split
from pipelines.core.models.peers.peer import Peer, Scorer, Setting
from pipelines.core.models.peers.ranking import rank

LEAST_USERS: Final = 50
"""With fewer, the first setting of the grid is as good a guess."""
MOST_USERS: Final = 5000
K: Final = 10


@dataclass(frozen=True)
class Training:
    """What the peers are fitted on."""

    histories: Histories
    """Of all users at the cut."""
    user_items: csr_matrix
    """float32 [users, items]: 1 where a user interacted with an item."""

    @classmethod
    def of(cls, past: Interactions, cut: float) -> "Training":
        """All that is before the cut, as ``past`` is."""
        all_users = histories.of_log(past, cut)
        return cls(all_users, all_users.support(len(past.item_ids)))


@dataclass(frozen=True)
class Rehearsal:
    """The same task one window earlier, or, without a window that will do, one like it."""

    training: Training
    holdout: Holdout


def rehearsal(past: Interactions, cut: float, window_days: float, rng: np.random.Generator) -> Rehearsal | None:
    """Cut the past again, ``window_days`` before its end, or each user's; None where too few users can be measured."""
    at = cut - window_days * SECONDS_A_DAY
    earlier, holdout = split(past, at, window_days)
    if len(holdout.users) < LEAST_USERS:
        at, (earlier, holdout) = cut, hold(*leave_last.split(past))
    if len(holdout.users) < LEAST_USERS:
        return None
    return Rehearsal(Training.of(earlier, at), holdout.sample(MOST_USERS, rng))


def fit(peer: Peer, training: Training, rehearsed: Rehearsal | None, seed: int) -> tuple[Scorer, Setting]:
    """Choose the setting with the best ndcg@10 in the rehearsal, and fit the peer with it on everything."""
    grid = peer.grid(training.user_items)
    chosen = grid[0] if rehearsed is None or len(grid) == 1 else _best(peer, grid, rehearsed, seed)
    (scorer,) = peer.fit(training.user_items, [chosen], np.random.default_rng(seed))
    return scorer, chosen


def _best(peer: Peer, grid: Sequence[Setting], rehearsed: Rehearsal, seed: int) -> Setting:
    training, holdout = rehearsed.training, rehearsed.holdout

    def value(scorer: Scorer) -> float:
        ranked = rank(scorer, training.histories, holdout.users, training.user_items.shape[1], K)
        return measure(ranked, holdout, [K])[f"ndcg@{K}"]

    # map lets go of each scorer before the next one is fitted: one may be as large as memory allows
    values = list(map(value, peer.fit(training.user_items, grid, np.random.default_rng(seed))))
    return grid[int(np.argmax(values))]
