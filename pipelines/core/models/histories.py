"""What users did before a moment: the one thing that every candidate source scores a user by."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.kernels import histories as kernels


@dataclass(frozen=True)
class Histories:
    """CSR of B users by items: every item that a user interacted with, once. Arrays may be memory-mapped."""

    indptr: np.ndarray
    """int64 [B + 1]."""
    item_idx: np.ndarray
    """int32 [m], ascending within a user."""
    age_days: np.ndarray
    """float32 [m], days from the user's last interaction with the item to the moment, at least 0."""
    weight: np.ndarray
    """float32 [m], the sum of the weights of the user's interactions with the item."""

    @property
    def users(self) -> int:
        """B."""
        return len(self.indptr) - 1

    @property
    def user_pos(self) -> np.ndarray:
        """int64 [m], the position of each entry's user."""
        return np.repeat(np.arange(self.users), np.diff(self.indptr))

    def take(self, user_idx: np.ndarray) -> "Histories":
        """Some users' histories in this order; a user of -1 has done nothing."""
        users = np.ascontiguousarray(user_idx, np.int64)
        return Histories(*kernels.taken(self.indptr, self.item_idx, self.age_days, self.weight, users))

    def matrix(self, values: np.ndarray, n_items: int) -> csr_matrix:
        """CSR [B, ``n_items``] with ``values`` [m] in place of the interactions."""
        return csr_matrix((values, self.item_idx, self.indptr), shape=(self.users, n_items))

    def support(self, n_items: int) -> csr_matrix:
        """CSR float32 [B, ``n_items``]: 1 where there is an interaction."""
        return self.matrix(np.ones(len(self.item_idx), np.float32), n_items)

    def recency(self, half_life_days: float) -> np.ndarray:
        """float32 [m]: 1 for what was done just now, halved with every ``half_life_days`` of age."""
        return np.exp2(-self.age_days / np.float32(half_life_days))


def of_log(interactions: Interactions, at: float) -> Histories:
    """The histories of all users of ``interactions`` at the moment ``at`` (epoch seconds) after them."""
    n_items = len(interactions.item_ids)
    cell = interactions.user_idx.astype(np.int64) * n_items + interactions.item_idx
    # stable: within a cell the order of time stays, so the last of a cell is its newest
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    last = np.append(cell[1:] != cell[:-1], True) if len(cell) else np.zeros(0, bool)
    first = np.append(0, np.flatnonzero(last)[:-1] + 1) if len(cell) else np.zeros(0, np.int64)
    user, item = np.divmod(cell[last], n_items)
    age = np.maximum(at - interactions.epoch_s[order][last], 0.0) / SECONDS_A_DAY
    weight = np.add.reduceat(interactions.weight[order], first) if len(cell) else np.zeros(0)
    counts = np.bincount(user, minlength=len(interactions.user_ids))
    return Histories(
        np.append(0, np.cumsum(counts)).astype(np.int64),
        item.astype(np.int32),
        age.astype(np.float32),
        weight.astype(np.float32),
    )
