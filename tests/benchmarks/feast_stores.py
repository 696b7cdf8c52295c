"""Point-in-time join and materialization against stock Feast on the same Postgres and Redis, with equal values."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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


def run(settings: Settings) -> Iterator[str]:
    """Yield a line for each measurement."""
    with tempfile.TemporaryDirectory() as folder:
        ours, stock = (_store(settings, Path(folder), kind) for kind in (OURS, STOCK))
        for rows, users, asked in ((1_000_000, 100_000, 100_000), (1_000_000, 1_000, 10_000)):
            _table(settings, rows, users)
            frame = _entity_rows(users, asked)
            yield _join(f"historical, {rows:,} rows of {users:,} users, {asked:,} asked", ours, stock, frame)
        _table(settings, 100_000, 100_000)
        yield _materialize("materialize 100,000 users × 10 features", ours, stock)


def _join(label: str, ours: FeatureStore, stock: FeatureStore, frame: pd.DataFrame) -> str:
    refs = [f"bench:{name}" for name in FEATURES]
    a, a_s = _timed(lambda: ours.get_historical_features(frame, refs).to_df())
    b, b_s = _timed(lambda: stock.get_historical_features(frame, refs).to_df())
    order = ["user_id", "event_timestamp"]
    a, b = (t.assign(event_timestamp=pd.to_datetime(t.event_timestamp, utc=True)).sort_values(order) for t in (a, b))
    pd.testing.assert_frame_equal(
        a[FEATURES].reset_index(drop=True), b[FEATURES].reset_index(drop=True), check_dtype=False
    )
    return f"{label}: {a_s:.1f} s, stock {b_s:.1f} s, {b_s / a_s:.0f}× (equal values)"


def _materialize(label: str, ours: FeatureStore, stock: FeatureStore) -> str:
    _, a_s = _timed(lambda: ours.materialize(END - timedelta(days=400), END))
    users = [{"user_id": f"U{n}"} for n in range(0, 100_000, 997)]
    refs = [f"bench:{name}" for name in FEATURES]
    a = ours.get_online_features(refs, users).to_df()
    _, b_s = _timed(lambda: stock.materialize(END - timedelta(days=400), END))
    pd.testing.assert_frame_equal(a, stock.get_online_features(refs, users).to_df()[a.columns])
    return f"{label}: {a_s:.1f} s, stock {b_s:.1f} s, {b_s / a_s:.0f}× (equal values)"


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # Feast prints what it materializes
        result = call()
    return result, time.perf_counter() - started


def _store(settings: Settings, folder: Path, kind: dict[str, Any]) -> FeatureStore:
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
    _table(settings, 10, 10)  # apply looks at it
    store = FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    source = PostgreSQLSource(
        name="bench_source",
        table="bench",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    schema = [Field(name="user_id", dtype=String), *(Field(name=n, dtype=Int64) for n in FEATURES)]
    store.apply([user, FeatureView(name="bench", entities=[user], schema=schema, source=source, ttl=timedelta(0))])
    return store


def _table(settings: Settings, rows: int, users: int) -> None:
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


def _entity_rows(users: int, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    ids = "U" + pd.Series(rng.integers(0, users, n)).astype(str)
    # one time a row: stock Feast tells entity rows apart by key and time alone
    times = pd.Timestamp(END) - pd.to_timedelta(rng.permutation(n) * (170 * 86400 // n), unit="s")
    return pd.DataFrame({"user_id": ids, "event_timestamp": times})
