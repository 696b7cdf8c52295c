"""Rows of a CSR matrix whose arrays may be memory-mapped: only what is asked for is read."""

import numpy as np


def entries(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the entries of ``rows`` [B] lie: (position in ``rows`` [n], position in the CSR's indices and data [n]).

    A row of -1 is empty.
    """
    known = rows >= 0
    start = np.where(known, indptr[rows], 0)
    count = np.where(known, indptr[rows + 1], 0) - start
    owner = np.repeat(np.arange(len(rows)), count)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return owner, start[owner] + offset


def top_of_rows(indptr: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Positions of the ``n`` largest values of each CSR row, rows in order, largest first; ties by position."""
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.lexsort((np.arange(len(values)), -values, row))
    return order[np.arange(len(order)) - indptr[row] < n]
