"""Receipts of what a stage left in a server: DVC sees the files, this sees whether the servers still agree.

A database may be emptied or another server named between two runs; the files under ``data/`` don't show it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import psycopg
import redis

from pipelines.core.errors import ServiceError
from pipelines.io import files, mlflow_runs, postgres
from pipelines.settings import Settings

log = logging.getLogger(__name__)

PUBLISHED: Final = Path("data/published/receipt.json")
REGISTERED: Final = Path("data/registered/receipt.json")
KEY: Final = "recomart:published"
"""Key in Redis that holds the SHA-256 of the receipt; in Postgres it is the comment of the schema ``features``."""
AS_OF: Final = "recomart:as_of"
"""Key in Redis: the end (ISO 8601, UTC) of what was published and then materialized."""
TOKENS: Final = "recomart:materialized"
"""Hash in Redis: view -> the token of what was materialized there, the same as in Postgres."""


def write_published(settings: Settings, receipt: object) -> None:
    """Write the receipt of `publish`, and leave its mark in Postgres and Redis, the last thing of the stage."""
    path = settings.root / PUBLISHED
    files.write_json(path, receipt)
    mark = files.sha256(path)
    with postgres.connect(settings) as connection:
        connection.execute(f"COMMENT ON SCHEMA features IS '{mark}'")
    mark_online(settings)


def mark_online(settings: Settings) -> None:
    """Leave in Redis the mark that Postgres has, if any: both hold the same."""
    if (mark := _postgres_mark(settings)) is not None:
        with _redis(settings) as client:
            client.set(KEY, mark)


def drop_stale(settings: Settings) -> None:
    """Remove each receipt that the servers don't confirm, so that its stage runs again.

    Raises:
        ServiceError: a server doesn't answer.
    """
    published = settings.root / PUBLISHED
    if published.exists() and _marks(settings) != {files.sha256(published)}:
        log.info("Postgres or Redis doesn't hold what was published: publishing again")
        published.unlink()
    registered = settings.root / REGISTERED
    if registered.exists() and not _is_registered(settings, registered):
        log.info("MLflow doesn't hold the registered model: registering again")
        registered.unlink()


def _marks(settings: Settings) -> set[str | None]:
    mark = _postgres_mark(settings)
    with _redis(settings) as client:
        return {mark, cast(str | None, client.get(KEY))}


def _postgres_mark(settings: Settings) -> str | None:
    with postgres.connect(settings) as connection:
        try:
            row = connection.execute("SELECT obj_description('features'::regnamespace)").fetchone()
        except psycopg.errors.InvalidSchemaName:
            row = None
    return row[0] if row else None


@contextmanager
def _redis(settings: Settings) -> Iterator[redis.Redis]:
    """A client.

    Raises:
        ServiceError: the server doesn't answer.
    """
    try:
        with redis.Redis.from_url(settings.redis, decode_responses=True) as client:
            yield client
    except redis.RedisError as error:
        raise ServiceError(f"Redis: {error}") from None


def _is_registered(settings: Settings, path: Path) -> bool:
    receipt = files.read_json(path)
    return mlflow_runs.holds(settings.mlflow_tracking_uri, int(receipt["version"]), str(receipt["run_id"]))
