"""Arrays that grow at their end at little cost."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def room(array: NDArray[T], size: int, fill: int = 0) -> NDArray[T]:
    """``array`` itself if its first axis has ``size`` places, or a longer copy with ``fill`` at the new ones.

    The copy is at least twice as long: many small steps cost as much as one. Memory that nothing was written to
    (``fill`` 0) isn't used.
    """
    known = len(array)
    if known >= size:
        return array
    grown = np.zeros((max(size, 2 * known, 1024), *array.shape[1:]), array.dtype)
    grown[:known] = array
    if fill:
        grown[known:] = fill
    return grown
