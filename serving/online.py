"""Reading the online store from requests, which must answer whatever the store does."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from pipelines.core.errors import ServiceError

T = TypeVar("T")
log = logging.getLogger(__name__)


class OnlineStore:
    """Reads, and knows whether reading works. After a failure the store is left alone for ``pause_seconds``,

    so that requests don't queue up behind timeouts. Each change of state is logged once.
    """

    def __init__(self, pause_seconds: float = 1.0) -> None:
        self.error: str | None = None
        self._pause_seconds = pause_seconds
        self._closed_until = 0.0

    def read(self, call: Callable[[], T]) -> T | None:
        """What ``call`` returns; None where it raises ServiceError, and while the store is left alone."""
        if time.monotonic() < self._closed_until:
            return None
        try:
            value = call()
        except ServiceError as error:
            self._failed(str(error))
            return None
        self._worked()
        return value

    def _failed(self, error: str) -> None:
        self._closed_until = time.monotonic() + self._pause_seconds
        first, self.error = self.error is None, error
        if first:
            log.warning("online features can't be read, answers are degraded: %s", error)

    def _worked(self) -> None:
        first, self.error = self.error is not None, None
        if first:
            log.warning("online features can be read again")
