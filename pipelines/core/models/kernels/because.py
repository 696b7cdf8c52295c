"""Which item of a history leads to an item."""

import numpy as np

from pipelines.core.models.compiling import FLOATS, INT32S, kernel


@kernel(INT32S, INT32S, FLOATS, INT32S, INT32S)
def strongest(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, met: np.ndarray, item_idx: np.ndarray
) -> np.ndarray:
    """int32 [n]: which of the items ``met`` [m] has the largest entry of each of ``item_idx`` [n] in its CSR row.

    -1 where none has one; of equal ones the first.
    """
    found = np.full(len(item_idx), np.int32(-1))
    largest = np.zeros(len(item_idx), np.float32)
    for item in met:
        for at in range(indptr[item], indptr[item + 1]):
            for n in range(len(item_idx)):
                if indices[at] == item_idx[n] and (found[n] < 0 or data[at] > largest[n]):
                    found[n], largest[n] = item, data[at]
    return found
