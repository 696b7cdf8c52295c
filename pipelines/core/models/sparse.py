"""Rows of a CSR matrix whose arrays may be memory-mapped: only what is asked for is read."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix


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


def among_largest(indptr: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """bool [m]: whether a value is among the ``n`` largest of its row; of equal ones the first are."""
    among = np.ones(len(values), bool)
    for row in np.flatnonzero(np.diff(indptr) > n):
        part = slice(indptr[row], indptr[row + 1])
        least = np.partition(values[part], -n)[-n]
        above = values[part] > least
        level = np.flatnonzero(values[part] == least)
        above[level[: n - np.count_nonzero(above)]] = True
        among[part] = above
    return among


def runs(costs: np.ndarray, limit: float) -> Iterator[slice]:
    """Runs of consecutive rows whose ``costs`` [rows] sum up to at most ``limit``; a row that costs more is alone."""
    total, start = np.append(0, np.cumsum(costs)), 0
    while start < len(costs):
        end = max(start + 1, int(np.searchsorted(total, total[start] + limit, side="right")) - 1)
        yield slice(start, end)
        start = end


def stored(matrix: csr_matrix) -> dict[str, np.ndarray]:
    """``indptr`` and ``indices`` int32, ``data`` float32: of one integer type, SciPy uses them without a copy."""
    return {
        "indptr": matrix.indptr.astype(np.int32),
        "indices": matrix.indices.astype(np.int32),
        "data": matrix.data.astype(np.float32),
    }


def largest_singular_value(matrix: csr_matrix, steps: int = 20) -> float:
    """By power iteration from ones; at least 1."""
    vector, length = np.ones(matrix.shape[1], np.float32), 1.0
    for _ in range(steps):
        vector = matrix.T @ (matrix @ (vector / length))
        length = max(float(np.linalg.norm(vector)), 1.0)
    return float(np.sqrt(length))
