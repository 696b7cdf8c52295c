"""Search among the items that a source scores: the best few of each user, and the scores of some.

A *cell* is a user of a batch and an item in one number, user_pos · items + item_idx, so that sorted cells are sorted by
user. Nothing here is as large as users × items where the catalogue is large.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipelines.core.models.histories import Histories
from pipelines.core.models.kernels import search as kernels

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Seen:
    """The items that may not be proposed to each user of a batch, as sets of ``kernels.search``."""

    start: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, histories: Histories) -> "Seen":
        """All that is in the histories."""
        return cls(*kernels.sets(histories.indptr, histories.item_idx))

    @classmethod
    def nothing(cls, users: int) -> "Seen":
        """Everything may be proposed."""
        return cls(np.zeros(users + 1, np.int64), np.zeros(0, np.int32))

    def among(self, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
        """bool [m]: whether the user has seen the item."""
        return kernels.in_sets(self.start, self.keys, *pairs(user_pos, item_idx))


class Scorer(Protocol):
    """What one source says to a batch of users."""

    def top(self, n: int, seen: Seen) -> np.ndarray:
        """Cells, ascending, of the ``n`` best items of each user that aren't seen; ties go to the smaller item_idx."""

    def of(self, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
        """float32 [m]: the score of each item for the user, larger is better; NaN where there is nothing to say."""


@dataclass(frozen=True)
class Sparse:
    """Scores of the items that are listed, and of no others, as tables of ``kernels.search``."""

    tables: kernels.Tables
    n_items: int

    @classmethod
    def summed(cls, indptr: np.ndarray, item_idx: np.ndarray, values: np.ndarray, n_items: int) -> "Sparse":
        """CSR: the sum of the ``values`` [m] of each user's items, which may come more than once."""
        return cls(kernels.tables(_int64(indptr), _int32(item_idx), _double(values)), n_items)

    def top(self, n: int, seen: Seen) -> np.ndarray:
        """As ``Scorer.top``."""
        return kernels.best_of_tables(*self.tables, min(n, self.n_items), seen.start, seen.keys, self.n_items)

    def of(self, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
        """As ``Scorer.of``."""
        return kernels.looked_up(*self.tables, *pairs(user_pos, item_idx))


@dataclass(frozen=True)
class Shared:
    """The same scores for everybody, known or not."""

    scores: np.ndarray
    """float32 [items]."""
    order: np.ndarray
    """int32 [items], best first."""
    users: int

    def top(self, n: int, seen: Seen) -> np.ndarray:
        """As ``Scorer.top``: the seen ones are passed over."""
        return kernels.best_of_all(self.order, self.users, n, seen.start, seen.keys)

    def of(self, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
        """As ``Scorer.of``."""
        scores: np.ndarray = self.scores[item_idx]
        return scores


def best_first(scores: np.ndarray) -> np.ndarray:
    """int32 [items]: the items by falling score, ties by item_idx."""
    return np.argsort(-scores, kind="stable").astype(np.int32)


def best_cells(scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, rank from 0) of the ``n`` largest finite scores of each row of [B, items]; ties by column."""
    n = min(n, scores.shape[1])
    # a partition of the values and a comparison are several times faster than a partition of positions
    least = np.partition(scores, scores.shape[1] - n, axis=1)[:, -n, None]
    row, column = np.nonzero((scores >= least) & np.isfinite(scores))
    order = np.lexsort((column, -scores[row, column], row))
    row, column = row[order], column[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    best = place < n
    return row[best], column[best], place[best]


def propagated(indptr: np.ndarray, item_idx: np.ndarray, values: np.ndarray, arrays: Any) -> Sparse:
    """CSR rows of B users times a CSR matrix of items by items, as ``sparse.stored`` gives it."""
    matrix = arrays["indptr"], arrays["indices"], arrays["data"]
    tables = kernels.propagated(_int64(indptr), _int32(item_idx), _double(values), *matrix)
    return Sparse(tables, len(arrays["indptr"]) - 1)


def pairs(user_pos: np.ndarray, item_idx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Users and items, int32 [m] each, as kernels take them."""
    return _int32(user_pos), _int32(item_idx)


def _int32(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.int32)


def _int64(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.int64)


def _double(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float64)
