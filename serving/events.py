"""Takes events: durable in Postgres first, then in the users' sessions, then acknowledged."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pipelines.core.errors import RecoMartError
from pipelines.core.lists.live_event import LiveEvent, Stored
from pipelines.settings import Settings
from serving.live_sessions import Sessions
from serving.problems import Unavailable

if TYPE_CHECKING:
    from pipelines.io.live.live_log import Writer

PATIENCE_S: Final = 5.0
"""How long a request waits for its commit."""
PAUSE_S: Final = 1.0
"""For which Postgres is left alone after a failure."""
MOST_WAITING: Final = 20_000
"""Events that wait for a commit; more are turned away."""
MOST_TOGETHER: Final = 2_000
"""Events after which a commit takes no further request."""

log = logging.getLogger(__name__)


class Added(NamedTuple):
    """How many events of a request are new, and how many were there already."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class _Waiting:
    events: Sequence[LiveEvent]
    done: Future[Added] = field(default_factory=Future)


class EventLog:
    """One thread and one connection; requests that wait at the same time are committed together.

    ``error`` says why events can't be taken now.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        self.error: str | None = None
        self.turned_away = 0
        """Events that came while too many waited."""
        self._settings = settings
        self._writer: Writer | None = None
        self._sessions = Sessions(settings)
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._busy_since: float | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")

    def start(self) -> None:
        """Begin to open what is needed; returns at once."""
        if self._settings.postgres_host is not None:
            self._sessions.start()
            self.probe()

    def stop(self) -> None:
        """End what was begun, and no more."""
        self._thread.shutdown(wait=True, cancel_futures=False)
        if self._writer is not None:
            self._writer.close()

    @property
    def waiting(self) -> int:
        """Events that wait for their commit."""
        with self._lock:
            return sum(len(one.events) for one in self._queue)

    def probe(self) -> None:
        """Begin to look whether Postgres answers: ``error`` shall not be older than the last look."""
        if self._settings.postgres_host is not None and self._busy_since is None:
            self._thread.submit(self._look)

    async def add(self, events: Sequence[LiveEvent]) -> Added:
        """Returns once all of the events are durable; what is known already under an event id stays as it is.

        Raises:
            Unavailable: Postgres didn't take them. It may have some nevertheless; sending them again is safe.
        """
        now, since = time.monotonic(), self._busy_since
        if now < self._closed_until or (since is not None and now - since > PATIENCE_S):
            raise Unavailable(f"events can't be stored now: {self.error}")
        one = _Waiting(events)
        with self._lock:
            if self._queue and sum(len(other.events) for other in self._queue) + len(events) > MOST_WAITING:
                self.turned_away += len(events)
                raise Unavailable("too many events wait to be stored")
            self._queue.append(one)
        self._thread.submit(self._commit)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(one.done), PATIENCE_S)
        except TimeoutError:
            self._failed(f"Postgres stores nothing within {PATIENCE_S:g} s")
            raise Unavailable(f"events can't be stored now: {self.error}") from None
        except RecoMartError as error:
            raise Unavailable(f"events can't be stored now: {error}") from None

    def _commit(self) -> None:
        """Commit the requests that wait, the first ones; who came too late finds nothing left to do."""
        group = self._take()
        if not group:
            return
        self._busy_since = time.monotonic()
        try:
            # nobody is erased between the two: what a session got of a user then, nothing would take out again
            new = self._opened().insert(
                [event for one in group for event in one.events],
                lambda new: self._sessions.write(_stored(group, new)),
            )
        except RecoMartError as error:
            self._failed(str(error))
            for one in group:
                one.done.set_exception(error)
            return
        finally:
            self._busy_since = None
        self._worked()
        unclaimed = dict(new)
        for one in group:
            accepted = sum(unclaimed.pop(event.event_id, None) is not None for event in one.events)
            one.done.set_result(Added(accepted, len(one.events) - accepted))

    def _look(self) -> None:
        try:
            self._opened().ping()
        except RecoMartError as error:
            self._failed(str(error))
        else:
            self._worked()

    def _take(self) -> list[_Waiting]:
        """The requests of one commit; those that nobody waits for any more are left out."""
        taken: list[_Waiting] = []
        with self._lock:
            while self._queue and sum(len(one.events) for one in taken) < MOST_TOGETHER:
                one = self._queue.popleft()
                if one.done.set_running_or_notify_cancel():
                    taken.append(one)
        return taken

    def _opened(self) -> "Writer":
        if self._writer is None:
            from pipelines.io.live.live_log import Writer  # imports psycopg, which importing the application must not

            self._writer = Writer(self._settings)
        return self._writer

    def _failed(self, error: str) -> None:
        self._closed_until = time.monotonic() + PAUSE_S
        first, self.error = self.error is None, error
        if first:
            log.warning("events can't be stored: %s", error)

    def _worked(self) -> None:
        self._closed_until = 0.0
        if self.error is not None:
            self.error = None
            log.warning("events are stored again")


def _stored(group: Sequence[_Waiting], new: Mapping[str, int]) -> list[Stored]:
    """The new events with their numbers: of those with one id the first, as Postgres does it."""
    found = {event.event_id: event for one in reversed(group) for event in reversed(one.events)}
    return [Stored(seq, found[event_id]) for event_id, seq in new.items()]
