"""Reading the online store from requests, which must answer whatever the store does."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from pipelines.core.errors import ServiceError
from pipelines.core.features.user_features import UserState

REMEMBERED: Final = 10_000
"""Users whose last state is kept for when the store can't be read."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class OnlineStore:
    """Reads, and knows whether reading works. After a failure the store is left alone for ``pause_seconds``,

    so that requests don't queue up behind timeouts. Each change of state is logged once.
    """

    def __init__(self, pause_seconds: float = 1.0) -> None:
        self.error: str | None = None
        self._last: OrderedDict[str, UserState] = OrderedDict()
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

    def remember(self, user_id: str, state: UserState) -> None:
        """Keep what was read of a user; of more than ``REMEMBERED`` users those who were read last."""
        self._last[user_id] = state
        self._last.move_to_end(user_id)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)

    def last(self, user_id: str) -> UserState | None:
        """What was read of the user last, if that is remembered."""
        return self._last.get(user_id)

    def forget(self, user_id: str) -> None:
        """Remember nothing of the user."""
        self._last.pop(user_id, None)

    def _failed(self, error: str) -> None:
        self._closed_until = time.monotonic() + self._pause_seconds
        first, self.error = self.error is None, error
        if first:
            log.warning("online features can't be read, answers are degraded: %s", error)

    def _worked(self) -> None:
        first, self.error = self.error is not None, None
        if first:
            log.warning("online features can be read again")
