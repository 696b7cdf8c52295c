"""The library ``implicit``, whose compiled code needs the system's OpenMP."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits


def obstacle(user_items: csr_matrix, memory: int) -> str | None:
    """Why the library can't be imported, and what helps."""
    try:
        import implicit  # noqa: F401
    except (ImportError, OSError) as error:
        reason = f"the library implicit can't be loaded ({error})"
        return f"{reason}: `apt install libgomp1`" if "libgomp" in str(error) else reason
    return None


@contextmanager
def own_threads() -> Iterator[None]:
    """Leave the processors to the library's threads: those of BLAS beside them make it several times slower.

    Its warnings tell of just that, and of matrices that it converts in milliseconds.
    """
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
