"""Leave the last items of each user out: what to practise on where the windows of a log hold too few users."""

from typing import Final

import numpy as np

from pipelines.core.models.interactions import Interactions

SHARE: Final = 0.2
"""Of a user's different items that are left out, at least one."""
LEAST_ITEMS: Final = 5
"""Users with fewer keep all."""


def split(log: Interactions) -> tuple[Interactions, Interactions]:
    """(what stays, what is left out) of ``log``: of each user the items that it met last, with all their events.

    Items go by the user's first event with them, in the order of ``log``: it need not be one of time across users.
    """
    cell = log.user_idx.astype(np.int64) * len(log.item_ids) + log.item_idx
    _, first, pair = np.unique(cell, return_index=True, return_inverse=True)
    order = np.lexsort((first, log.user_idx[first]))
    user = log.user_idx[first][order]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    items = np.bincount(user, minlength=len(log.user_ids))
    left = np.where(items < LEAST_ITEMS, 0, np.maximum(1, np.rint(SHARE * items))).astype(np.int64)
    last = np.zeros(len(first), bool)
    last[order] = place >= (items - left)[user]
    return log.where(~last[pair]), log.where(last[pair])
