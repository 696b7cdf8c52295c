"""What the database says of keys, erased users and drift, read again every few seconds, beside the requests."""

import logging
import threading
from collections.abc import Callable

from pipelines.core.errors import ServiceError
from pipelines.settings import Settings
from serving.gauges import DriftReport
from serving.security.erasures import Erasures
from serving.security.keys import Keyring
from serving.security.said import Said

REFRESH_S = 5.0

log = logging.getLogger(__name__)


class Watch:
    """Lets the keyring and the erasures know. Where the database doesn't answer, what they know stays."""

    def __init__(self, read: Callable[[], Said], keyring: Keyring, erasures: Erasures, refresh_s: float) -> None:
        self.drift: DriftReport | None = None
        self._read, self._keyring, self._erasures, self._refresh_s = read, keyring, erasures, refresh_s
        self._answered = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to read; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopping.set()
        self._thread.join(self._refresh_s)

    def look(self) -> None:
        """Read once; tell the log where that begins or ceases to fail."""
        try:
            said = self._read()
        except ServiceError as error:
            if self._answered:
                log.warning("API keys and erasures stay as they are: %s", error)
            self._answered = False
            return
        if not self._answered:
            log.warning("API keys and erasures can be read again")
        self._answered = True
        self._erasures.learn(said.erased)
        self._keyring.learn(said.keys)
        self.drift = said.drift

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(self._refresh_s)


def reader(settings: Settings) -> Callable[[], Said]:
    """Reads Postgres, by one connection as long as it holds; where there is no Postgres there is nothing to know."""
    if settings.postgres_host is None:
        return lambda: Said([], {}, None)
    from serving.security.watched import Watched  # imports psycopg, which importing the application must not

    return Watched(settings)
