"""Logs every recommendation without holding up its answer: it is handed over, and written by a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final
from uuid import UUID

from pipelines.core.errors import ConfigError, InputError, ServiceError
from pipelines.core.lists.logged import Bounds, Logged
from pipelines.core.redaction import without_credentials
from pipelines.settings import Settings
from serving.experiments import Assignment
from serving.exposures import Exposure, logged
from serving.filters import Query
from serving.recommender import Recommendation
from serving.snapshot import Snapshot

if TYPE_CHECKING:
    from pipelines.io.live.recommendation_log import Writer

WRITE_SECONDS: Final = 0.25
BATCH: Final = 100
TRIM_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 2.0
STOP_SECONDS: Final = 5.0
MOST_WAITING: Final = 10_000
MOST_BYTES: Final = 32 << 20
"""Of evidence that waits; beyond it recommendations are logged without."""
EVIDENCE_A_SECOND: Final = 50.0
EVIDENCE_AT_ONCE: Final = 500.0
"""So much evidence is kept of a rush, and then so much a second: packing all of it would take a busy service's time."""

log = logging.getLogger(__name__)


class ReplayLog:
    """Takes recommendations and brings them to Postgres in batches. When more come than can be written, evidence is

    left out first (``thinned``), then whole recommendations (``dropped``). ``error`` says why nothing is written now.
    """

    def __init__(self, settings: Settings) -> None:
        self.written = 0
        self.dropped = 0
        self.thinned = 0
        self.error: str | None = "not connected yet"
        self.watchers: list[Callable[[Exposure], object]] = []
        """Told of every recommendation that somebody is shown; they must be quick, too."""
        self._settings = settings
        self._bounds = Bounds(settings.logged_days, settings.logged_rows, settings.replay_rows)
        self._waiting: dict[str, Exposure] = {}
        self._bytes = 0
        self._allowance, self._allowed_at = EVIDENCE_AT_ONCE, time.monotonic()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay log", daemon=True)

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to write; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and stop."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def record(
        self,
        recommendation_id: str,
        snapshot: Snapshot,
        query: Query,
        decided: Recommendation,
        assignment: Assignment,
        at: float,
    ) -> None:
        """Take a recommendation that is shown ``at`` (epoch seconds). Its arrays must not change any more."""
        exposure = Exposure.of(recommendation_id, snapshot, query, decided, assignment, at)
        self.put(exposure)
        for watch in self.watchers:
            watch(exposure)

    def put(self, exposure: Exposure) -> None:
        """Take a recommendation, shown or not."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING or self._settings.postgres_host is None:
                self.dropped += 1
                return
            size = _size(exposure)
            if size and not (self._bounds.payloads and self._bytes + size <= MOST_BYTES and self._affords()):
                self.thinned += self._bounds.payloads > 0
                exposure, size = replace(exposure, evidence=None), 0
            self._waiting[exposure.id] = exposure
            self._bytes += size

    def find(self, wanted: UUID) -> Logged | None:
        """The recommendation with this id, also where it waits here to be written.

        Raises:
            ServiceError: Postgres doesn't answer.
            ConfigError: there is none.
        """
        if exposure := self._waiting.get(str(wanted)):
            return logged(exposure)
        from pipelines.io.live import recommendation_log

        return recommendation_log.read(self._settings, wanted)

    def forget(self, user_id: str) -> None:
        """Take out what waits here of a user; once this returns, none of it will be written."""
        with self._writing, self._lock:
            for exposure in [e for e in self._waiting.values() if e.query.user_id == user_id]:
                self._forget(exposure)

    def _affords(self) -> bool:
        """Whether one more piece of evidence is within what is kept a second; if so, it is counted."""
        now = time.monotonic()
        gained = (now - self._allowed_at) * EVIDENCE_A_SECOND
        self._allowance, self._allowed_at = min(self._allowance + gained, EVIDENCE_AT_ONCE), now
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True

    def _run(self) -> None:
        from pipelines.io.live import recommendation_log  # imports the client: not before somebody listens already

        while True:
            try:
                with recommendation_log.writing(self._settings) as writer:
                    self._failed(None)
                    self._write_on(writer)
                    return
            except (ServiceError, ConfigError, InputError) as error:
                self._failed(str(error))
            except BaseException as error:
                self.error = f"writing ended with an unexpected {type(error).__name__}; see the log"
                raise
            if self._stopping.wait(RETRY_SECONDS):
                return

    def _write_on(self, writer: "Writer") -> None:
        """Write until the service stops and nothing waits."""
        trimmed = time.monotonic() - TRIM_SECONDS / 2  # a service that has just started has better things to do
        while self._write_some(writer) or not self._stopping.wait(WRITE_SECONDS):
            if time.monotonic() - trimmed > TRIM_SECONDS:
                writer.trim(self._bounds)
                trimmed = time.monotonic()

    def _write_some(self, writer: "Writer") -> bool:
        """Write a batch; returns whether more waits. What Postgres refuses is dropped, what it missed waits on."""
        with self._writing:
            with self._lock:
                batch = list(islice(self._waiting.values(), BATCH))
            if not batch:
                return False
            try:
                writer.write([logged(exposure) for exposure in batch])
            except InputError:
                self.dropped += len(batch)
                self._done(batch)
                raise
            self.written += len(batch)
            self._done(batch)
            return bool(self._waiting)

    def _done(self, batch: Sequence[Exposure]) -> None:
        with self._lock:
            for exposure in batch:
                self._forget(exposure)

    def _forget(self, exposure: Exposure) -> None:
        if self._waiting.pop(exposure.id, None):
            self._bytes -= _size(exposure)

    def _failed(self, error: str | None) -> None:
        text = error and without_credentials(error)
        if text and text != self.error:
            log.warning("recommendations aren't logged: %s", text)
        self.error = text


def _size(exposure: Exposure) -> int:
    """Bytes of the evidence, nearly."""
    return 0 if exposure.evidence is None else int(exposure.evidence.inputs.nbytes) * 3 // 2
