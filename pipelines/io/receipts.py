"""Receipts of what a stage left in a server: DVC sees the files, this sees whether the servers still agree.

A database may be emptied or another server named between two runs; the files under ``data/`` don't show it.
"""

import logging
from pathlib import Path
from typing import Final

import psycopg
import redis

from pipelines.core.errors import ServiceError
from pipelines.io import files, postgres, registry
from pipelines.settings import Settings

log = logging.getLogger(__name__)

PUBLISHED: Final = Path("data/published/receipt.json")
REGISTERED: Final = Path("data/registered/receipt.json")
KEY: Final = "recomart:published"
"""Key in Redis that holds the SHA-256 of the receipt; in Postgres it is the comment of the schema ``features``."""


def write_published(settings: Settings, receipt: object) -> None:
    """Write the receipt of `publish`, and leave its mark in Postgres and Redis, the last thing of the stage."""
    path = settings.root / PUBLISHED
    files.write_json(path, receipt)
    mark = files.sha256(path)
    with postgres.connect(settings) as connection:
        connection.execute(f"COMMENT ON SCHEMA features IS '{mark}'")
    with redis.Redis.from_url(settings.redis) as client:
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
    with postgres.connect(settings) as connection:
        try:
            row = connection.execute("SELECT obj_description('features'::regnamespace)").fetchone()
        except psycopg.errors.InvalidSchemaName:
            row = None
    try:
        with redis.Redis.from_url(settings.redis, decode_responses=True) as client:
            return {row[0] if row else None, client.get(KEY)}
    except redis.RedisError as error:
        raise ServiceError(f"Redis: {error}") from None


def _is_registered(settings: Settings, path: Path) -> bool:
    receipt = files.read_json(path)
    return registry.holds(settings.mlflow_tracking_uri, int(receipt["version"]), str(receipt["run_id"]))
