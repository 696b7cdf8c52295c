"""Erasure of users: what is kept of it in Postgres (``live.erasures``), and how the lake learns of it.

Each has a number. ``ingest`` copies all into ``data/raw/erasures.json``; ``validate`` leaves these users' rows out, all
that is made from the log follows, and the manifest of the features says up to which number. When those are published an
erasure is applied: only the hash of its user is kept then. Until then the id is, so that what a run that began earlier
brings back can be removed again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from pipelines.core.lake.erasure import Erased, user_hash
from pipelines.io import files, live_schema, postgres, tables
from pipelines.io.live import live_log
from pipelines.settings import Settings

LAKE: Final = Path("data/raw/erasures.json")
TABLE: Final = """
CREATE TABLE IF NOT EXISTS live.erasures (
    user_hash bytea PRIMARY KEY, number bigint NOT NULL UNIQUE, erased_at timestamptz NOT NULL, user_id text,
    applied_at timestamptz)
"""


@dataclass(frozen=True)
class InLake:
    """The erasures that the lake knows: all up to number ``until``."""

    until: int
    erased: Erased


def create(connection: Connection) -> None:
    """Have the table."""
    live_schema.create(connection)
    connection.execute(TABLE)


@contextmanager
def held_off(connection: Connection) -> Iterator[None]:
    """A transaction in which nobody is erased; one that is under way ends first.

    What is read in it of a user may be brought online in it: the erasure that comes next removes it.
    """
    with connection.transaction():
        connection.execute("LOCK TABLE live.erasures IN SHARE MODE")
        yield


def record(connection: Connection, user_id: str) -> datetime:
    """Note that a user is erased from now on; returns the time (UTC). What happens later is a new life.

    For the rest of the transaction no events are taken: what a session got of the user later, nothing would take out.
    """
    create(connection)
    # so numbers become visible in order, and nothing is brought online meanwhile
    connection.execute("LOCK TABLE live.erasures IN SHARE ROW EXCLUSIVE MODE")
    live_log.hold_off(connection)
    row = connection.execute(
        "INSERT INTO live.erasures (user_hash, number, erased_at, user_id) "
        "VALUES (%s, (SELECT coalesce(max(number), 0) + 1 FROM live.erasures), clock_timestamp(), %s) "
        "ON CONFLICT (user_hash) DO UPDATE SET number = excluded.number, erased_at = excluded.erased_at, "
        "user_id = excluded.user_id, applied_at = NULL RETURNING erased_at",
        [user_hash(user_id), user_id],
    ).fetchone()
    assert row is not None
    erased_at: datetime = row[0]
    return erased_at


def erased_at(connection: Connection) -> dict[bytes, float]:
    """Hash of each erased user → when, epoch seconds."""
    if not live_schema.holds(connection, "erasures"):
        return {}
    rows = connection.execute("SELECT user_hash, extract(epoch FROM erased_at)::float8 FROM live.erasures")
    return dict(rows.fetchall())


def pending(connection: Connection) -> list[str]:
    """The ids of users whose erasure isn't applied to what is published."""
    if not live_schema.holds(connection, "erasures"):
        return []
    rows = connection.execute("SELECT user_id FROM live.erasures WHERE user_id IS NOT NULL ORDER BY number")
    return [str(user_id) for (user_id,) in rows.fetchall()]


def applied(connection: Connection, until: int) -> None:
    """What is published is without the users of the erasures up to number ``until``: forget their ids."""
    if live_schema.holds(connection, "erasures"):
        connection.execute(
            "UPDATE live.erasures SET applied_at = now(), user_id = NULL WHERE number <= %s AND applied_at IS NULL",
            [until],
        )


def into_lake(settings: Settings) -> int:
    """Let the lake know of all erasures; returns how many are new to it. One that it knows is never lost again.

    Raises:
        ServiceError: a Postgres is named and doesn't answer.
    """
    if settings.postgres_host is None:
        return 0
    with postgres.connect(settings) as connection:
        if not live_schema.holds(connection, "erasures"):
            return 0
        rows = connection.execute("SELECT user_hash, erased_at, number FROM live.erasures").fetchall()
    path = settings.root / LAKE
    before: dict[str, Any] = files.read_json(path) if path.exists() else {"until": 0, "users": {}}
    now = {hashed.hex(): tables.utc(at.isoformat()).isoformat() for hashed, at, _ in rows}
    users = before["users"] | {hashed: max(at, before["users"].get(hashed, "")) for hashed, at in now.items()}
    content = {"until": max((number for *_, number in rows), default=0), "users": dict(sorted(users.items()))}
    if content != before:
        files.write_json(path, content)
    return sum(before["users"].get(hashed) != at for hashed, at in users.items())


def in_lake(root: Path) -> InLake:
    """What the lake knows."""
    path = root / LAKE
    if not path.exists():
        return InLake(0, Erased({}))
    content = files.read_json(path)
    return InLake(
        content["until"], Erased({bytes.fromhex(hashed): tables.utc(at) for hashed, at in content["users"].items()})
    )
