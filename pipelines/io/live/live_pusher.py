"""Brings acknowledged events online, whatever happened to the servers meanwhile. One process does it at a time.

What is new goes into the users' sessions and, by ``LiveFeatures``, into Feast's online views; only then it is marked
as pushed. Where much waits, all sessions come first. What is online rests on three things (``Base``): the Redis that
keeps it, the publication that the features go on from, and the shop. Redis itself remembers which ones they were, so
that where one of them is another now, or Redis lost its memory, all of it is brought online again. Doing anything twice
changes nothing.
"""

import gc
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import Connection

from pipelines.core.errors import ServiceError
from pipelines.core.lists.live_event import Stored
from pipelines.io.features import feast_store, publications
from pipelines.io.features.feast_store import answered
from pipelines.io.live import erasure, live_log, live_owner, live_rows, live_spans
from pipelines.io.live.live_features import LiveFeatures
from pipelines.io.live.live_sessions import LiveSessions
from pipelines.params import Prepare
from pipelines.settings import Settings

MOST: Final = 5_000
"""Events that are pushed together."""
MOST_USERS: Final = 500
LOOK_S: Final = 1.0
"""Between looks at what everything rests on."""
WAIT_S: Final = 0.5
"""The longest wait for news of Postgres."""
PAUSES_S: Final = (0.2, 5.0)
"""Between attempts while a server doesn't answer: the first, the longest."""
SESSIONS: Final = timedelta(days=30)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """What is online rests on: the run of Redis, the number of the publication, the shop's first event."""

    redis: str
    load: int
    first: int


class Pusher:
    """Pushes until it is told to stop; logs a line when its state changes."""

    def __init__(self, settings: Settings, params: Prepare) -> None:
        """Nothing is opened yet."""
        self._settings, self._params = settings, params
        self._sessions: LiveSessions | None = None
        self._features: LiveFeatures | None = None
        self._state = ""
        self._pause = PAUSES_S[0]
        self._ahead = 0
        """The number up to which events are in their sessions that aren't in the features yet."""

    def run(self, stopping: threading.Event) -> None:
        """Push what is there and what comes; where a server doesn't answer, try again until it does."""
        while not stopping.is_set():
            try:
                with answered(), live_owner.connected(self._settings) as connection:
                    if self._owns(connection, stopping):
                        self._serve(connection, stopping)
            except ServiceError as error:
                self._say(f"waiting: {error}")
                stopping.wait(self._pause)
                self._pause = min(2 * self._pause, PAUSES_S[1])
        gc.unfreeze()  # or DuckDB complains, as Python ends, of what was never collected

    def _owns(self, connection: Connection, stopping: threading.Event) -> bool:
        """Wait until no other process does this; False when it is to stop."""
        while not stopping.is_set():
            if live_owner.acquired(connection):
                return True
            self._say("standing by: another process pushes")
            stopping.wait(LOOK_S)
        return False

    def _serve(self, connection: Connection, stopping: threading.Event) -> None:
        self._open()
        live_spans.create(connection)
        with connection.transaction():
            erasure.create(connection)
        connection.execute(f"LISTEN {live_log.CHANNEL}".encode())
        looked, goal, recovery, self._ahead = -LOOK_S, None, None, 0
        while not stopping.is_set():
            if time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                base = self._base(connection)
                if base == self._kept():
                    recovery = None
                elif recovery is None or base != goal:
                    goal, recovery, self._ahead = base, self._recover(connection, base), 0
            busy = self._push_new(connection)
            if recovery is not None and next(recovery, None) is None:
                recovery = None
            self._pause = PAUSES_S[0]
            if recovery is None:
                self._say("pushing")
                if not busy:
                    list(connection.notifies(timeout=WAIT_S, stop_after=1))

    def _open(self) -> None:
        if self._sessions is None:
            self._sessions = LiveSessions(self._settings)
        if self._features is None:
            store = feast_store.open_store(self._settings)
            self._features = LiveFeatures(store, self._settings, self._params)
            gc.collect()
            gc.freeze()  # Feast's modules are many objects: each look at all of them would be a pause of 100 ms

    def _push_new(self, connection: Connection) -> bool:
        """Push the oldest new events; False where there are none."""
        with erasure.held_off(connection):
            rows = live_rows.unpushed(connection, MOST)
            if rows:
                first = live_spans.first(connection)
                mine = [row for row in rows if row.seq >= first]
                self._opened_sessions.write(mine)
                if len(rows) == MOST:
                    self._write_ahead(connection, max(self._ahead, rows[-1].seq), first)
                self._push_features(connection, sorted({event.user_id for _, event in mine}))
                live_rows.mark_pushed(connection, [seq for seq, _ in rows])
        return bool(rows)

    def _write_ahead(self, connection: Connection, after: int, first: int) -> None:
        """Write the sessions of all that waits: they are due at once, and features take a hundred times as long."""
        while rows := live_rows.unpushed(connection, MOST, after):
            self._opened_sessions.write([row for row in rows if row.seq >= first])
            self._ahead = after = rows[-1].seq

    def _push_features(self, connection: Connection, users: Sequence[str]) -> None:
        """Push the features of users, unless nothing was published yet: the first publication brings them all."""
        assert self._features is not None
        as_of = publications.as_of(connection)
        while as_of is not None:
            events = live_rows.of_users(connection, users, live_spans.first(connection), as_of)
            if not len(events) or (now := self._features.push(events).as_of) == as_of:
                return
            as_of = now  # published meanwhile

    def _recover(self, connection: Connection, base: Base) -> Iterator[bool]:
        """Bring everything online again, a step at a time, and let Redis remember that it is."""
        self._say("bringing all online again: Redis, the publication or the shop is another one")
        started, before, events, users = time.monotonic(), self._kept(), 0, 0
        if before is None or before.redis != base.redis or before.first != base.first:
            if before is not None and before.first != base.first:
                self._opened_sessions.drop()
            at, number = datetime.now(UTC) - SESSIONS, base.first
            while rows := self._write_sessions(connection, number, at):
                events, number = events + len(rows), rows[-1].seq + 1
                yield True
        if (as_of := publications.as_of(connection)) is not None:
            for some in live_rows.users_since(connection, base.first, as_of, MOST_USERS):
                with erasure.held_off(connection):
                    self._push_features(connection, some)
                users += len(some)
                yield True
        if self._base(connection) == base:
            self._opened_sessions.remember(json.dumps(asdict(base)))
            log.info(
                "%d events in sessions, features of %d users again, %.1f s", events, users, time.monotonic() - started
            )

    def _write_sessions(self, connection: Connection, first: int, at: datetime) -> list[Stored]:
        """Write the next events from number ``first`` on; returns them."""
        with erasure.held_off(connection):
            rows = live_rows.since(connection, first, at, MOST)
            self._opened_sessions.write(rows)
        return rows

    def _base(self, connection: Connection) -> Base:
        load = publications.next_load(connection) - 1 if publications.as_of(connection) else 0
        return Base(self._opened_sessions.server(), load, live_spans.first(connection))

    def _kept(self) -> Base | None:
        """What Redis says that everything rests on."""
        told = self._opened_sessions.remembered()
        return Base(**json.loads(told)) if told else None

    @property
    def _opened_sessions(self) -> LiveSessions:
        assert self._sessions is not None
        return self._sessions

    def _say(self, state: str) -> None:
        if state != self._state:
            self._state = state
            log.info("%s", state)
