"""What the two steps of scoring hand on: candidates, and the best of them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """Items proposed for a batch of B users, each once a user, sorted by (user_pos, item_idx); S sources."""

    users: int
    """B."""
    user_pos: np.ndarray
    """int32 [n], position in the batch."""
    item_idx: np.ndarray
    """int32 [n]."""
    source_scores: np.ndarray
    """float32 [n, S]; NaN where the source has no score for the item, also where it didn't propose it itself."""
    source_ranks: np.ndarray
    """float32 [n, S]: the place among the user's candidates by the source's score, 0 is best; NaN where it has none."""
    source: np.ndarray
    """int8 [n], the source that ranked the item best; the first in the bundle's order among equals."""
    signals: np.ndarray
    """float32 [n, len(signals.NAMES)]; NaN where there is nothing to know."""

    def take(self, positions: np.ndarray) -> "Candidates":
        """The candidates at ``positions``; the batch of users stays."""
        arrays = (self.user_pos, self.item_idx, self.source_scores, self.source_ranks, self.source, self.signals)
        return Candidates(self.users, *(array[positions] for array in arrays))


@dataclass(frozen=True)
class TopK:
    """The best items of each user, flat: sorted by user_pos, best first."""

    user_pos: np.ndarray
    """int32 [m]."""
    item_idx: np.ndarray
    """int32 [m]."""
    scores: np.ndarray
    """float32 [m]."""
    source: np.ndarray
    """int8 [m]."""
    rank: np.ndarray
    """int32 [m], from 0 within the user."""

    def of(self, user_pos: int) -> "TopK":
        """One user's part."""
        low, high = np.searchsorted(self.user_pos, [user_pos, user_pos + 1])
        part = slice(low, high)
        return TopK(self.user_pos[part], self.item_idx[part], self.scores[part], self.source[part], self.rank[part])
