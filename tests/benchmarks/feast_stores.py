"""Two Feast stores that read one table, ours and stock, for measurements side by side."""

import contextlib
import io
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Int64, String

from pipelines.settings import Settings

END = datetime(2024, 7, 1, tzinfo=UTC)
FEATURES = [f"f{i}" for i in range(10)]
OURS = {
    "offline": "feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore",
    "online": "feature_repo.stores.redis_online.ArrowRedisOnlineStore",
    "batch_engine": {"type": "feature_repo.stores.arrow_engine.ArrowComputeEngine"},
}
STOCK = {"offline": "postgres", "online": "redis", "batch_engine": {"type": "local"}}


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # Feast prints what it materializes
        result = call()
    return result, time.perf_counter() - started


def store(settings: Settings, folder: Path, kind: dict[str, Any]) -> FeatureStore:
    """A store of its own registry and project; both read the same table."""
    name = "stock" if kind is STOCK else "ours"
    where = {
        "host": settings.postgres_host, "port": settings.postgres_port, "user": settings.postgres_user,
        "password": settings.postgres_password, "database": settings.postgres_db, "sslmode": settings.postgres_sslmode,
    }  # fmt: skip
    redis = settings.exported()["FEAST_REDIS"]
    config = RepoConfig(
        project=name, provider="local", registry=str(folder / f"{name}.db"),
        offline_store={"type": kind["offline"], **where},
        online_store={"type": kind["online"], "connection_string": redis},
        batch_engine=kind["batch_engine"],
        materialization={"pull_latest_features": True, "online_write_batch_size": 10_000},
        entity_key_serialization_version=3,
    )  # fmt: skip
    table(settings, 10, 10)  # apply looks at it
    feast = FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    source = PostgreSQLSource(
        name="bench_source",
        table="bench",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    schema = [Field(name="user_id", dtype=String), *(Field(name=n, dtype=Int64) for n in FEATURES)]
    feast.apply([user, FeatureView(name="bench", entities=[user], schema=schema, source=source, ttl=timedelta(0))])
    return feast


def table(settings: Settings, rows: int, users: int) -> None:
    """Table ``bench``: ``rows`` rows of ``users`` users over half a year, with the index that `publish` makes."""
    values = ", ".join(f"(n * {i + 7}) % 1000 AS {name}" for i, name in enumerate(FEATURES))
    statements = (
        "DROP TABLE IF EXISTS bench",
        f"""CREATE TABLE bench AS SELECT 'U' || n % {users} AS user_id,
            timestamptz '{END}' - (n * interval '15 seconds') AS event_timestamp,
            timestamptz '{END}' - (n * interval '15 seconds') AS created_timestamp, {values}
            FROM generate_series(1::bigint, {rows}) AS n""",
        "CREATE UNIQUE INDEX ON bench (user_id, event_timestamp DESC, created_timestamp DESC)",
        "ANALYZE bench",
    )
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]
