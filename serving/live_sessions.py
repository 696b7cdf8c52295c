"""The users' sessions, written while the request waits: the next recommendation knows of the event."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pipelines.core.errors import RecoMartError, ServiceError
from pipelines.core.lists.live_event import Stored
from pipelines.settings import Settings
from serving import late

if TYPE_CHECKING:
    from pipelines.io.live.live_sessions import LiveSessions

PAUSE_S: Final = 1.0
"""For which Redis is left alone after a failure, so that events don't queue up behind timeouts."""

log = logging.getLogger(__name__)


class Sessions:
    """Writes sessions as long as Redis lets it; whatever isn't written here ``python -m pipelines live`` writes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions: LiveSessions | None = None
        self._closed_until = 0.0
        self._error: str | None = None

    def start(self) -> None:
        """Begin to open them in the background: importing Feast takes seconds."""
        threading.Thread(target=self._open, name="sessions", daemon=True).start()

    def write(self, stored: Sequence[Stored]) -> None:
        """Add events to their users' sessions; a failure is logged once."""
        if self._sessions is None or not stored or time.monotonic() < self._closed_until:
            return
        try:
            self._sessions.write(stored)
        except ServiceError as error:
            self._closed_until = time.monotonic() + PAUSE_S
            self._failed(str(error))
            return
        if self._error is not None:
            self._error = None
            log.warning("sessions are written again")

    def _open(self) -> None:
        try:
            with late.feast():
                from pipelines.io.live.live_sessions import LiveSessions

            self._sessions = LiveSessions(self._settings)
        except RecoMartError as error:
            self._failed(str(error))

    def _failed(self, error: str) -> None:
        first, self._error = self._error is None, error
        if first:
            log.warning("sessions can't be written, they come later: %s", error)
