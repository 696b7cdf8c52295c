"""The temporal split: cuts, windows, and what is relevant in them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.bundle import Bundle
from pipelines.core.errors import InputError
from pipelines.core.interactions import Interactions, positions
from pipelines.core.sparse import entries


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
    """What users turn to in a window that they hadn't interacted with: this is relevance."""

    matrix: csr_matrix
    """float64 users by items: the weight of the user's strongest event on the item in the window."""
    item_ids: np.ndarray
    """str [items]: the bundle's, then those it doesn't know. Nobody can propose these, but missing them counts."""


def gains(bundle: Bundle, later: Interactions, user_ids: np.ndarray) -> Gains:
    """What ``user_ids`` gain from new items in the window ``later``."""
    row = positions(user_ids, later.user_ids)[later.user_idx]
    place = positions(bundle.item_ids, later.item_ids)
    unknown = place < 0
    place[unknown] = len(bundle.item_ids) + np.arange(unknown.sum())
    item_ids = np.concatenate([bundle.item_ids, later.item_ids[unknown]])
    width = np.int64(len(item_ids))
    wanted = row >= 0
    cells, inverse = np.unique(row[wanted] * width + place[later.item_idx][wanted], return_inverse=True)
    strongest = np.zeros(len(cells))
    np.maximum.at(strongest, inverse, later.weight[wanted])
    owner, at = entries(bundle.seen_indptr, positions(bundle.user_ids, user_ids))
    fresh = ~np.isin(cells, owner * width + bundle.seen_indices[at])
    cells, strongest = cells[fresh], strongest[fresh]
    matrix = csr_matrix((strongest, (cells // width, cells % width)), shape=(len(user_ids), len(item_ids)))
    return Gains(matrix, item_ids)
