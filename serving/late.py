"""Imports that wait until the service listens already."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_LOCK = threading.Lock()


@contextmanager
def feast() -> Iterator[None]:
    """Around an import of Feast: in one thread at a time, and in a fifth of its time.

    Feast's modules import each other in circles, where two threads may wait for each other. And Feast has typeguard
    write its classes anew, so that each call checks the types of its arguments: that is for those who declare features.
    """
    import typeguard

    with _LOCK:
        checked = typeguard.typechecked
        typeguard.typechecked = _unchecked
        try:
            yield
        finally:
            typeguard.typechecked = checked


def _unchecked(target: Any = None, **_: Any) -> Any:
    """In place of ``typeguard.typechecked``: the class or function as it is."""
    as_it_is: Callable[[Any], Any] = lambda one: one  # noqa: E731
    return as_it_is if target is None else target
