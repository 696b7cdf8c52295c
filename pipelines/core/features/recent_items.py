"""The last different items of each user."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import Int32, Int64
from pipelines.core.features.feature_views import RECENT_ITEMS

NONE: Final = -1
"""The place of an item that isn't."""


def latest_first(user: NDArray[np.integer], item: NDArray[np.integer], last: Int64) -> tuple[Int64, Int32]:
    """The users of a day, as they come, and a row for each with the first RECENT_ITEMS of its items, NONE behind.

    ``user`` and ``item``: the pairs of a day, those of a user together, and those of the same item together;
    ``last``: the place of the last event of each, different numbers.
    """
    same_user = user[1:] == user[:-1]
    pairs = _starts(same_user & (item[1:] == item[:-1]), len(user))
    if len(pairs) < len(user):
        user, item, last = user[pairs], item[pairs], np.maximum.reduceat(last, pairs)
        same_user = user[1:] == user[:-1]
    starts = _starts(same_user, len(user))
    row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(user)))
    order = np.argsort((row << 32) - last)
    place = np.arange(len(user)) - starts[row]  # the rows are the same in this order
    few = place < RECENT_ITEMS
    items = np.full((len(starts), RECENT_ITEMS), NONE, np.int32)
    items[row[few], place[few]] = item[order[few]]
    return user[starts].astype(np.int64), items


def _starts(same: NDArray[np.bool_], size: int) -> Int64:
    """Where a run begins, from whether each value but the first is like the one before."""
    return np.flatnonzero(np.append(True, ~same)[:size])


def merge(today: Int32, before: Int32) -> Int32:
    """Rows of items, latest first: those of ``today``, then those of ``before`` that aren't among them."""
    keep = before != NONE
    sizes = (today != NONE).sum(axis=1)
    for item in today.T[: sizes.max(initial=0)]:
        keep &= before != item[:, None]
    place = sizes[:, None] + np.cumsum(keep, axis=1) - 1
    row, column = np.nonzero(keep & (place < RECENT_ITEMS))
    merged = today.copy()
    merged[row, place[row, column]] = before[row, column]
    return merged


def lists(items: Int32, ids: pa.StringArray) -> pa.ListArray:
    """Rows of items as lists of their ids."""
    known = items != NONE
    ends = np.cumsum(known.sum(axis=1), dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(np.append(np.int32(0), ends)), ids.take(pa.array(items[known])))


def of_lists(rows: pa.ChunkedArray, items: Codes) -> Int32:
    """Lists of ids (of at most RECENT_ITEMS) as rows of items, giving codes to new ids."""
    lists = rows.combine_chunks()
    sizes = pc.list_value_length(lists).fill_null(0).to_numpy()
    found = np.full((len(lists), RECENT_ITEMS), NONE, np.int32)
    found[np.arange(RECENT_ITEMS) < sizes[:, None]] = items.encode(pc.list_flatten(lists))
    return found
