"""The API keys of the service, in Postgres: ``live.api_keys``."""

import secrets
from collections.abc import Iterable

from psycopg import Connection
from psycopg.rows import kwargs_row

from pipelines.core import api_keys
from pipelines.core.api_keys import ApiKey, Scope
from pipelines.core.errors import InputError
from pipelines.io import live_schema

TABLE = """
CREATE TABLE IF NOT EXISTS live.api_keys (
    id text PRIMARY KEY, name text NOT NULL, scopes text[] NOT NULL, digest bytea NOT NULL UNIQUE,
    rate_limit double precision, created_at timestamptz NOT NULL DEFAULT now(), revoked_at timestamptz)
"""
_COLUMNS = "id, name, scopes, digest, rate_limit, created_at, revoked_at"


def create(connection: Connection, name: str, scopes: Iterable[Scope], rate_limit: float | None = None) -> str:
    """Make a key; returns its text, which nothing else ever shows."""
    _prepare(connection)
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    connection.execute(
        "INSERT INTO live.api_keys (id, name, scopes, digest, rate_limit) VALUES (%s, %s, %s, %s, %s)",
        [key_id, name, sorted(scopes), api_keys.digest(secret), rate_limit],
    )
    return api_keys.text(key_id, secret)


def revoke(connection: Connection, key_id: str) -> ApiKey:
    """Make a key worthless; services notice within seconds. It stays revoked since the first time.

    Raises:
        InputError: there is no such key.
    """
    _prepare(connection)
    found = _read(
        connection,
        f"UPDATE live.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %s RETURNING {_COLUMNS}",
        [key_id],
    )
    if not found:
        raise InputError(f"there is no key {key_id}: `python -m pipelines keys list` shows all")
    return found[0]


def every(connection: Connection) -> list[ApiKey]:
    """All keys, revoked ones too, the oldest first; none where none was ever made."""
    if not live_schema.holds(connection, "api_keys"):
        return []
    return _read(connection, f"SELECT {_COLUMNS} FROM live.api_keys ORDER BY created_at, id", [])


def _prepare(connection: Connection) -> None:
    live_schema.create(connection)
    connection.execute(TABLE)


def _read(connection: Connection, query: str, values: list[str]) -> list[ApiKey]:
    with connection.cursor(row_factory=kwargs_row(_key)) as cursor:
        return cursor.execute(query, values).fetchall()


def _key(**columns: object) -> ApiKey:
    scopes = columns["scopes"]
    assert isinstance(scopes, list)
    return ApiKey(**columns | {"scopes": frozenset(map(Scope, scopes))})  # type: ignore[arg-type]
