"""The temporal split: cuts, windows, and what is relevant in them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.errors import InputError
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import Interactions, positions


@dataclass(frozen=True)
class Cuts:
    """Label windows are [cut, cut + window); models see what is before the cut only."""

    evaluation: datetime
    training: tuple[datetime, ...]
    """Newest first."""
    window: timedelta


def cuts(first_event: datetime, as_of: datetime, window_days: int, training_cuts: int) -> Cuts:
    """The evaluation window ends at ``as_of``; each training window ends where the next one begins.

    Training cuts with no window's worth of history before them are left out.

    Raises:
        InputError: not even one training cut is left.
    """
    window = timedelta(days=window_days)
    training = tuple(as_of - (2 + i) * window for i in range(training_cuts))
    usable = tuple(cut for cut in training if cut - first_event >= window)
    if not usable:
        days = (as_of - first_event) / timedelta(days=1)
        raise InputError(
            f"the log spans {days:.1f} days, but a training and an evaluation window of {window_days} days after "
            f"as much history need {3 * window_days}: bring more days, or lower split.window_days in params.yaml"
        )
    return Cuts(as_of - window, usable, window)


@dataclass(frozen=True)
class Gains:
    """What users turn to in a window, and, where things don't repeat, hadn't interacted with: this is relevance."""

    matrix: csr_matrix
    """float64 users by items: the weight of the user's strongest event on the item in the window."""
    item_ids: np.ndarray
    """str [items]: the bundle's, then those it doesn't know. Nobody can propose these, but missing them counts."""


def gains(bundle: Bundle, later: Interactions, user_ids: np.ndarray) -> Gains:
    """What ``user_ids`` gain in the window ``later``: of new items, or of all where the bundle lets things repeat."""
    row = positions(user_ids, later.user_ids)[later.user_idx]
    place = positions(bundle.item_ids, later.item_ids)
    unknown = place < 0
    place[unknown] = len(bundle.item_ids) + np.arange(unknown.sum())
    item_ids = np.concatenate([bundle.item_ids, later.item_ids[unknown]])
    wanted = row >= 0
    events = (row[wanted], place[later.item_idx][wanted], later.weight[wanted])
    past = bundle.histories.take(positions(bundle.user_ids, user_ids))
    return Gains(strongest(past, *events, n_items=len(item_ids), repeats=bundle.repeats), item_ids)


def strongest(
    past: Histories, user: np.ndarray, item: np.ndarray, weight: np.ndarray, *, n_items: int, repeats: bool
) -> csr_matrix:
    """CSR float64 [users of ``past``, ``n_items``]: the weight of each user's strongest event on each item.

    ``user``, ``item``, ``weight``: later events [n]. Where nothing ``repeats``, items of the past are left out.
    """
    cells, inverse = np.unique(user.astype(np.int64) * n_items + item, return_inverse=True)
    gains = np.zeros(len(cells))
    np.maximum.at(gains, inverse, weight)
    if not repeats:
        fresh = ~np.isin(cells, past.user_pos * n_items + past.item_idx)
        cells, gains = cells[fresh], gains[fresh]
    return csr_matrix((gains, (cells // n_items, cells % n_items)), shape=(past.users, n_items))
