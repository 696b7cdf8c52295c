"""Live events in Postgres (``live.events``): what is acknowledged is here first.

Numbers (``seq``) are given in the order of arrival but become visible in that of the commits. Who remembers how far it
has read asks ``settled``: up to there nothing comes any more.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import psycopg
from psycopg import Connection

from pipelines.core.errors import ServiceError
from pipelines.core.lists.live_event import LiveEvent
from pipelines.io import live_schema
from pipelines.settings import Settings

T = TypeVar("T")
CHANNEL: Final = "live_events"
"""Whoever listens hears of each commit with new events."""
CONNECT_S: Final = 3
PATIENCE: Final = "-c synchronous_commit=on -c statement_timeout=5000 -c idle_in_transaction_session_timeout=10000"

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS live.events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE, user_id text NOT NULL, item_id text NOT NULL, event_type text NOT NULL,
    ts timestamptz NOT NULL, session_id text, device text, quantity integer NOT NULL, price double precision,
    known_item boolean, received_at timestamptz NOT NULL DEFAULT now(), pushed boolean NOT NULL DEFAULT false);
CREATE INDEX IF NOT EXISTS events_of_user ON live.events (user_id, ts);
CREATE INDEX IF NOT EXISTS events_by_time ON live.events (ts);
CREATE INDEX IF NOT EXISTS events_to_push ON live.events (seq) WHERE NOT pushed;
"""
_LAST: Final = b"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM live.events_seq_seq"
_TYPES: Final = ("text", "text", "text", "text", "timestamptz", "text", "text", "int", "float8", "bool")
_INSERT: Final = (
    f"INSERT INTO live.events ({', '.join(LiveEvent._fields)}) "
    f"SELECT * FROM unnest({', '.join(f'%s::{kind}[]' for kind in _TYPES)}) "
    "ON CONFLICT (event_id) DO NOTHING RETURNING event_id, seq"
).encode()
_WRITING: Final = b"SELECT pg_advisory_xact_lock_shared(hashtext('live.events'))"
_NOBODY_WRITES: Final = b"SELECT pg_advisory_xact_lock(hashtext('live.events'))"
_TAKING: Final = _WRITING + b", pg_advisory_lock_shared(hashtext('live.sessions'))"
_TAKEN: Final = b"SELECT pg_advisory_unlock_shared(hashtext('live.sessions'))"
_NOBODY_TAKES: Final = b"SELECT pg_advisory_xact_lock(hashtext('live.sessions'))"


def create(connection: Connection) -> None:
    """Have the table; it is never changed here but for what is missing."""
    with connection.transaction():
        live_schema.create(connection)
        connection.execute(_TABLE.encode())


def exists(connection: Connection) -> bool:
    """Whether the table is there."""
    return live_schema.holds(connection, "events")


def insert(connection: Connection, events: Sequence[LiveEvent]) -> dict[str, int]:
    """Commit events; returns the number of each that wasn't there yet, by event id. All or none is in afterwards."""
    return _inserted(connection, events, _WRITING)


def _inserted(connection: Connection, events: Sequence[LiveEvent], lock: bytes) -> dict[str, int]:
    if not events:
        return {}
    ordered = sorted(events, key=lambda e: e.event_id)  # so two transactions never wait for each other
    columns = [list(column) for column in zip(*ordered, strict=True)]
    with connection.transaction():
        connection.execute(lock)
        new: dict[str, int] = dict(connection.execute(_INSERT, columns).fetchall())
        if new:
            connection.execute(f"NOTIFY {CHANNEL}".encode())
    return new


def settled(connection: Connection) -> int:
    """The largest number that was given so far, whether its event is still there or not.

    Every event up to it that will ever be there is visible from now on.
    """
    with connection.transaction():
        connection.execute(_NOBODY_WRITES)
        (last,) = connection.execute(_LAST).fetchone() or (0,)
    return int(last)


def hold_off(connection: Connection) -> None:
    """Have no ``Writer`` take events for the rest of the transaction; what one is taking ends first."""
    connection.execute(_NOBODY_TAKES)


class Writer:
    """A connection that inserts, opened anew when it broke; for one thread."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._connection: Connection | None = None

    def ping(self) -> None:
        """See whether Postgres answers.

        Raises:
            ServiceError: it doesn't.
            ConfigError: none is named and none was started.
        """
        self._attempt(lambda connection: connection.execute("SELECT 1"))

    def insert(self, events: Sequence[LiveEvent], then: Callable[[Mapping[str, int]], object]) -> Mapping[str, int]:
        """As ``insert``. A connection that broke while it lay idle costs nothing but a second attempt.

        ``then`` is told what is new before anybody who holds writers off may go on.

        Raises:
            ServiceError: Postgres doesn't answer or refuses. The events may be in nevertheless; inserting them again
                is safe.
            ConfigError: no Postgres is named and none was started.
        """

        def take(connection: Connection) -> Mapping[str, int]:
            new = _inserted(connection, events, _TAKING)
            try:
                then(new)
            finally:
                with contextlib.suppress(psycopg.Error):  # a connection that is gone holds nobody off
                    connection.execute(_TAKEN)
            return new

        return self._attempt(take)

    def _attempt(self, what: Callable[[Connection], T]) -> T:
        while True:
            lay_idle = self._connection is not None
            try:
                return what(self._connected())
            except psycopg.Error as error:
                broke = self._connection is not None and self._connection.broken
                self.close()
                if not (lay_idle and broke):
                    raise ServiceError(f"Postgres: {' '.join(str(error).split())}") from error

    def close(self) -> None:
        """Let go of the connection; the next insert opens another one."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = psycopg.connect(
                self._settings.postgres_conninfo,
                autocommit=True,
                connect_timeout=CONNECT_S,
                options=PATIENCE,
                tcp_user_timeout=5000,
                application_name="recomart-events",
            )
            create(connection)
            self._connection = connection
        return self._connection
