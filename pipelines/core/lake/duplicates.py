"""Which rows repeat the event id of an earlier one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

KEY: Final = np.dtype([("low", "u8"), ("high", "u8"), ("place", "i8")])
"""128 bits of an event id's MD5, and the row's place: its order among all rows."""


def repeated(keys: NDArray[np.void]) -> NDArray[np.int64]:
    """The places of rows whose id an earlier place has already, sorted.

    Args:
        keys: [n] of dtype ``KEY``, in any order. That two different ids meet in 128 bits is as good as impossible:
            of 10^9 ids, with a chance of 10^-21.
    """
    low = np.sort(keys["low"])
    suspects = np.unique(low[1:][low[1:] == low[:-1]])
    at = np.searchsorted(suspects, keys["low"])
    several = keys[np.append(suspects, 0)[at] == keys["low"]]
    several = several[np.lexsort((several["place"], several["high"], several["low"]))]
    again = (several["low"][1:] == several["low"][:-1]) & (several["high"][1:] == several["high"][:-1])
    return np.sort(several["place"][1:][again])
