"""Rows of a factorization, solved by conjugate gradients."""

import numpy as np

from pipelines.core.models.compiling import FLOAT_ROWS, FLOATS, INT, INT32S, INT64S, Number, kernel, summing

TINY = np.float32(np.finfo(np.float32).tiny)


@summing
def _product(one: np.ndarray, other: np.ndarray) -> Number:
    total = np.float32(0.0)
    for n in range(len(one)):
        total += one[n] * other[n]
    return total


@summing
def _pushed(
    out: np.ndarray,
    vector: np.ndarray,
    other: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    gram: np.ndarray,
    damped: Number,
) -> None:
    """``out`` = (MᵀRM + G + d)·vector, where M is the rows ``indices`` of ``other`` and R has ``data`` as diagonal."""
    for f in range(len(vector)):
        out[f] = damped * vector[f]
    for g in range(len(vector)):
        for f in range(len(vector)):
            out[f] += vector[g] * gram[g, f]
    for at in range(len(indices)):
        row = other[indices[at]]
        weight = data[at] * _product(row, vector)
        for f in range(len(vector)):
            out[f] += weight * row[f]


@kernel(INT64S, INT32S, FLOATS, FLOAT_ROWS, FLOAT_ROWS, FLOATS, FLOAT_ROWS, INT, any_order=True)
def solved(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    other: np.ndarray,
    gram: np.ndarray,
    damping: np.ndarray,
    start: np.ndarray,
    steps: int,
) -> np.ndarray:
    """float32 [rows, f]: approach x in (MᵀRM + G + d)·x = MᵀR·1 for each row of the CSR matrix; an empty one is 0.

    M: the rows ``indices`` of ``other`` [others, f]; R: diagonal of ``data``; G: ``gram`` [f, f]; d: damping[0] +
    damping[1] · entries of the row; ``start`` [rows, f]: the first x.
    """
    out = np.zeros(start.shape, np.float32)
    factors = start.shape[1]
    residual, pushed = np.empty(factors, np.float32), np.empty(factors, np.float32)
    for row in range(len(indptr) - 1):
        low, high = indptr[row], indptr[row + 1]
        if low == high:
            continue
        met, weight = indices[low:high], data[low:high]
        damped = damping[0] + damping[1] * np.float32(high - low)
        x = start[row].copy()
        _pushed(pushed, x, other, met, weight, gram, damped)
        for f in range(factors):
            residual[f] = -pushed[f]
        for at in range(len(met)):
            for f in range(factors):
                residual[f] += weight[at] * other[met[at], f]
        direction, size = residual.copy(), _product(residual, residual)
        for _ in range(steps):
            _pushed(pushed, direction, other, met, weight, gram, damped)
            length = size / max(_product(direction, pushed), TINY)
            for f in range(factors):
                x[f] += length * direction[f]
                residual[f] -= length * pushed[f]
            previous, size = size, _product(residual, residual)
            onward = size / max(previous, TINY)
            for f in range(factors):
                direction[f] = residual[f] + onward * direction[f]
        out[row] = x
    return out
