"""What was recommended: table ``live.recommendations``, and what each was decided by: ``live.recommendation_inputs``.

The first is small and says who was shown what; experiments are measured on it. The second is large and lets a
recommendation be computed again; fewer of it are kept. A row of it goes with the row of the first.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import orjson
import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from pipelines.core.errors import InputError, ServiceError
from pipelines.core.lists.logged import Bounds, Logged
from pipelines.io import live_schema, postgres
from pipelines.settings import Settings

DELETED_AT_ONCE: Final = 2_000
TABLES: Final = """
CREATE TABLE IF NOT EXISTS live.recommendations (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    user_id text,
    model_version integer NOT NULL,
    feature_service text NOT NULL,
    experiment text,
    arm text,
    propensity double precision NOT NULL,
    strategy text NOT NULL,
    degraded text[] NOT NULL,
    query jsonb NOT NULL,
    items jsonb NOT NULL,
    feature_as_of timestamptz,
    feature_ages jsonb NOT NULL,
    shadow_of uuid);
CREATE INDEX IF NOT EXISTS recommendations_at ON live.recommendations (at);
CREATE INDEX IF NOT EXISTS recommendations_user ON live.recommendations (user_id, at);
CREATE INDEX IF NOT EXISTS recommendations_experiment ON live.recommendations (experiment, at)
    WHERE experiment IS NOT NULL;
CREATE TABLE IF NOT EXISTS live.recommendation_inputs (
    id uuid PRIMARY KEY REFERENCES live.recommendations ON DELETE CASCADE,
    at timestamptz NOT NULL,
    payload bytea STORAGE EXTERNAL NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS recommendation_inputs_at ON live.recommendation_inputs (at);
"""
FORGOTTEN: Final = """
DELETE FROM live.recommendations r USING live.erasures e
WHERE e.erased_at > now() - interval '10 minutes' AND r.at > now() - interval '2 hours' AND r.at <= e.erased_at
    AND sha256(convert_to(r.user_id, 'UTF8')) = e.user_hash
"""
"""What a worker wrote of a user whom another one had just erased."""


TYPES: Final = {
    "id": "uuid",
    "at": "timestamptz",
    "user_id": "text",
    "model_version": "int4",
    "feature_service": "text",
    "experiment": "text",
    "arm": "text",
    "propensity": "float8",
    "strategy": "text",
    "degraded": "text[]",
    "query": "jsonb",
    "items": "jsonb",
    "feature_as_of": "timestamptz",
    "feature_ages": "jsonb",
    "shadow_of": "uuid",
}
"""Column -> type."""
ADDED: Final = (
    f"INSERT INTO live.recommendations ({', '.join(TYPES)}) SELECT * FROM json_to_recordset(%s::json) "
    f"AS told ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())}) ON CONFLICT (id) DO NOTHING RETURNING id"
)


class Writer:
    """Writes through a connection of its own, which an error ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, rows: Sequence[Logged]) -> None:
        """Add the rows and commit.

        Raises:
            ServiceError: the connection is lost; whether the rows are there isn't known, so write them again.
            InputError: Postgres refuses the rows.
        """
        try:
            write(self._connection, rows)
            self._connection.commit()
        except psycopg.OperationalError:
            raise  # ``writing`` tells it as a ServiceError
        except psycopg.Error as error:
            raise InputError(f"Postgres refuses {len(rows)} recommendations: {' '.join(str(error).split())}") from error

    def trim(self, bounds: Bounds) -> int:
        """As the function; nothing else uses the connection meanwhile."""
        return trim(self._connection, bounds)


@contextmanager
def writing(settings: Settings) -> Iterator[Writer]:
    """A writer to tables that are there.

    Raises:
        ServiceError: Postgres doesn't answer as it must.
        ConfigError: there is none.
    """
    try:
        with postgres.connect(settings) as connection:
            create(connection)
            connection.commit()
            yield Writer(connection)
    except psycopg.Error as error:
        raise ServiceError(f"Postgres: {' '.join(str(error).split())}") from error


def read(settings: Settings, wanted: UUID) -> Logged | None:
    """The recommendation with this id.

    Raises:
        ServiceError: Postgres doesn't answer.
        ConfigError: there is none.
    """
    with postgres.connect(settings) as connection:
        return find(connection, wanted)


def create(connection: Connection) -> None:
    """Have the tables."""
    live_schema.create(connection)
    connection.execute(TABLES)


def write(connection: Connection, rows: Sequence[Logged]) -> None:
    """Add the rows; those that are there already, since a lost connection hid it, stay.

    Postgres takes them apart, not this process, whose requests would wait for Python's lock meanwhile.

    Raises:
        InputError: a text isn't Unicode.
    """
    try:
        document = orjson.dumps([{name: getattr(row, name) for name in TYPES} for row in rows]).decode()
    except orjson.JSONEncodeError as error:
        raise InputError(f"{len(rows)} recommendations can't be told to Postgres: {error}") from error
    new = {known for (known,) in connection.execute(ADDED, [document]).fetchall()}
    kept = [row for row in rows if row.payload is not None and row.id in new]
    if not kept:
        return
    with connection.cursor().copy("COPY live.recommendation_inputs FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["uuid", "timestamptz", "bytea"])
        for row in kept:
            copy.write_row([row.id, row.at, row.payload])


def find(connection: Connection, wanted: UUID) -> Logged | None:
    """The recommendation with this id."""
    if not live_schema.holds(connection, "recommendations"):
        return None
    listed = ", ".join(f"r.{name}" for name in TYPES)
    with connection.cursor(row_factory=class_row(Logged)) as cursor:
        return cursor.execute(
            f"SELECT {listed}, i.payload FROM live.recommendations r "
            "LEFT JOIN live.recommendation_inputs i USING (id) WHERE r.id = %s",
            [wanted],
        ).fetchone()


def trim(connection: Connection, bounds: Bounds) -> int:
    """Delete what is too old or too much, and what is left of users who were erased; returns how many rows went.

    One program at a time does; for another one there is nothing to do. Commits as it goes.
    """
    (mine,) = connection.execute("SELECT pg_try_advisory_lock(hashtext('trim live.recommendations'))").fetchone() or (
        0,
    )
    if not mine:
        connection.commit()
        return 0
    try:
        if live_schema.holds(connection, "erasures"):
            connection.execute(FORGOTTEN)
        gone = _older(connection, "recommendation_inputs", bounds.payloads, None)
        return gone + _older(connection, "recommendations", bounds.rows, timedelta(days=bounds.days))
    finally:
        if not connection.broken:
            connection.rollback()
            connection.execute("SELECT pg_advisory_unlock(hashtext('trim live.recommendations'))")
            connection.commit()


def _older(connection: Connection, table: str, rows: int, age: timedelta | None) -> int:
    """Delete all rows but the newest ``rows``, and those of more than ``age``; some at a time."""
    limit = connection.execute(
        f"SELECT greatest((SELECT at FROM live.{table} ORDER BY at DESC OFFSET %s LIMIT 1), now() - %s::interval)",
        [rows, age],
    ).fetchone()
    gone, deleted = 0, DELETED_AT_ONCE
    while limit and limit[0] and deleted == DELETED_AT_ONCE:
        deleted = connection.execute(
            f"DELETE FROM live.{table} WHERE id = ANY(ARRAY("
            f"SELECT id FROM live.{table} WHERE at <= %s ORDER BY at LIMIT {DELETED_AT_ONCE}))",
            [limit[0]],
        ).rowcount
        connection.commit()
        gone += deleted
    return gone
