"""How kernels are compiled: for the types that they are given, at their import, without Python's lock.

In inner loops what indexes an array is unsigned: of a signed number Numba asks whether it counts from the end, which
took three times as long as a tree's step itself.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from numba import njit, types

F = TypeVar("F", bound=Callable[..., Any])
Number = Any
"""A scalar of a kernel: Numba knows its type, and Python's names for it are others."""


def _array(dtype: Any, dimensions: int = 1) -> types.Array:
    """A C-contiguous array that the kernel doesn't write to: what is mapped from a file can't be written to."""
    return types.Array(dtype, dimensions, "C", readonly=True)


BOOLS: Final = _array(types.boolean)
INT32S: Final = _array(types.int32)
UINT32S: Final = _array(types.uint32)
INT64S: Final = _array(types.int64)
FLOATS: Final = _array(types.float32)
DOUBLES: Final = _array(types.float64)
INT8_ROWS: Final = _array(types.int8, 2)
FLOAT_ROWS: Final = _array(types.float32, 2)
WRITTEN_FLOAT_ROWS: Final = types.Array(types.float32, 2, "C")
INT: Final = types.int64

SUMS: Final = {"reassoc", "contract", "nsz"}
"""Lets sums be split over the lanes of vector instructions: the order is the compiler's, but always the same."""
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "error_model": "numpy"}


def kernel(*arguments: Any, any_order: bool = False) -> Callable[[F], F]:
    """Compile a function for one list of argument types; ``any_order``: its sums may be added in any fixed order."""
    wrapped: Any = njit([arguments], fastmath=SUMS if any_order else False, **_OPTIONS)
    return cast("Callable[[F], F]", wrapped)


def inner(function: F) -> F:
    """Compile a function that kernels of the same module call."""
    compiled: F = njit(**_OPTIONS)(function)
    return compiled


def summing(function: F) -> F:
    """As ``inner``, and its sums may be added in any fixed order."""
    compiled: F = njit(fastmath=SUMS, **_OPTIONS)(function)
    return compiled
