"""Which process brings live events online: the one whose connection holds this lock of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import Connection

from pipelines.io.live import live_log
from pipelines.settings import Settings

LOCK: Final = "hashtext('live pusher')"


@contextmanager
def connected(settings: Settings) -> Iterator[Connection]:
    """A connection that commits by itself, and can listen.

    Raises:
        psycopg.OperationalError: Postgres doesn't answer.
    """
    with psycopg.connect(
        settings.postgres_conninfo,
        autocommit=True,
        connect_timeout=live_log.CONNECT_S,
        tcp_user_timeout=5000,
        application_name="recomart-live",
    ) as connection:
        yield connection


def acquired(connection: Connection) -> bool:
    """Whether the connection is the owner's from now on, until it ends."""
    (free,) = connection.execute(f"SELECT pg_try_advisory_lock({LOCK})".encode()).fetchone() or (False,)
    return bool(free)


def is_there(settings: Settings) -> bool:
    """Whether some process is the owner now."""
    try:
        with connected(settings) as connection:
            return not acquired(connection)
    except psycopg.OperationalError:
        return False
