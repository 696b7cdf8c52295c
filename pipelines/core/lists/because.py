"""Which item of a history led to an item, by a source that lists each item's neighbours."""

from typing import Any

import numpy as np

from pipelines.core.models.histories import Histories
from pipelines.core.models.kernels.because import strongest

NEWEST = 50
"""Items of a history that are named: what lies further back explains little to anybody."""


def led_by(arrays: Any, history: Histories, item_idx: np.ndarray) -> np.ndarray:
    """int32 [n]: the item of the history that speaks most for each of ``item_idx`` [n]; -1 where none does.

    ``arrays``: CSR ``indptr``, ``indices``, ``data`` of items by items; ``history``: one user's. Of equal ones the
    newest.
    """
    met = history.item_idx[history.age_days.argsort(kind="stable")[:NEWEST]]
    wanted = np.asarray(item_idx, np.int32)
    found: np.ndarray = strongest(arrays["indptr"], arrays["indices"], arrays["data"], met, wanted)
    return found
