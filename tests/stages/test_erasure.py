"""An erased user: gone from all servers at once, from the lake with the next run, and nobody else's rows change."""

import argparse
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from fastapi.testclient import TestClient

from pipelines.context import Context
from pipelines.core.lake.erasure import user_hash
from pipelines.core.simulation.log import Shop
from pipelines.io import files, postgres
from pipelines.io.live import erasure
from pipelines.io.preparation import exploring
from pipelines.settings import Settings
from pipelines.stages import features, prepare, publish, validate
from serving.app import create_app
from tests.serving.shop import Memory, bundle, eventually
from tests.stages.shop import CHECKOUT, fill_lake

pytestmark = [pytest.mark.slow, pytest.mark.services]

LAST = date(2026, 2, 4)
STAGES = ("validated", "quarantine", "processed", "features")


@pytest.fixture
def shop() -> Shop:
    return Shop(40, 30, 12, 5, LAST)


@pytest.fixture
def context(settings: Settings) -> Context:
    for name in ("params.yaml", "feature_repo"):
        (settings.root / name).symlink_to(CHECKOUT / name)
    return Context(argparse.Namespace(), settings)


def logs(shop: Shop) -> dict[str, bytes]:
    return {f"clickstream-{day}.csv": content for day, content in shop.files()}


def run_stages(context: Context, *, publishing: bool = False) -> None:
    """What a run of the pipeline does once the raw lake is there."""
    erasure.into_lake(context.settings)
    with patch.object(exploring, "draw"):  # nobody looks at the plots
        validate.run(context)
        prepare.run(context)
    features.run(context)
    if publishing:
        publish.run(context)


def busiest(context: Context) -> str:
    """The user with the most events."""
    users = pq.read_table(context.root / "data/processed/prepared_interactions.parquet", columns=["user_id"])
    counts = users["user_id"].value_counts().to_pylist()
    return str(max(counts, key=lambda entry: entry["counts"])["values"])


def lake_rows(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for stage in STAGES:
        for path in sorted((root / "data" / stage).rglob("*.parquet")):
            for row in pq.ParquetFile(path).read().to_pylist():
                yield path, row


def mentions(root: Path, user: str) -> list[str]:
    """Files of the lake behind raw with the user in any field."""
    return sorted({str(path.relative_to(root)) for path, row in lake_rows(root) if user in str(row)})


def forgotten(settings: Settings, user: str) -> None:
    with postgres.connect(settings) as connection:
        erasure.record(connection, user)


def test_next_run_leaves_nothing_of_the_user_and_all_of_the_others(context: Context, shop: Shop) -> None:
    log = logs(shop)
    fill_lake(context.root, log, shop.products)
    run_stages(context)
    user = busiest(context)
    assert {name.split("/")[1] for name in mentions(context.root, user)} >= {"validated", "processed", "features"}
    raw = {path: files.sha256(path) for path in (context.root / "data/raw/clickstream").rglob("*.csv")}
    forgotten(context.settings, user)
    run_stages(context)
    assert mentions(context.root, user) == []
    assert {path: files.sha256(path) for path in raw} == raw

    other = context.root / "other"
    without = {
        name: b"".join(line for line in content.splitlines(keepends=True) if user.encode() not in line)
        for name, content in log.items()
    }
    fill_lake(other, without, shop.products)
    for name in ("params.yaml", "feature_repo"):
        (other / name).symlink_to(CHECKOUT / name)
    run_stages(
        Context(argparse.Namespace(), context.settings.model_copy(update={"root": other, "postgres_host": None}))
    )
    for folder in ("validated", "processed", "features"):
        assert _tables(context.root / "data" / folder) == _tables(other / "data" / folder), folder


def _tables(folder: Path) -> dict[str, pa.Table]:
    """Every Parquet file's content, but for what tells when it was built."""
    tables = {str(path.relative_to(folder)): pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))}
    return {
        name: table.drop_columns(["created_timestamp"]) if "created_timestamp" in table.column_names else table
        for name, table in tables.items()
    }


def test_erasure_without_rows_in_the_lake_rebuilds_nothing(context: Context, shop: Shop) -> None:
    fill_lake(context.root, logs(shop), shop.products)
    run_stages(context)
    before = files.read_json(context.root / "data/features/manifest.json")
    forgotten(context.settings, "nobody-ever")
    run_stages(context)
    after = files.read_json(context.root / "data/features/manifest.json")
    assert after["files"] == before["files"]
    assert (before["erased"], after["erased"]) == ([0, ""], [1, ""])


def test_what_happens_after_the_erasure_is_a_new_life(context: Context, shop: Shop) -> None:
    fill_lake(context.root, logs(shop), shop.products)
    run_stages(context)
    user = busiest(context)
    middle = datetime.combine(LAST, datetime.min.time(), UTC) - timedelta(days=3)
    forgotten(context.settings, user)
    with postgres.connect(context.settings) as connection:
        connection.execute("UPDATE live.erasures SET erased_at = %s", [middle])
    run_stages(context)
    rows = pq.read_table(context.root / "data/processed/prepared_interactions.parquet").to_pylist()
    times = [row["timestamp"] for row in rows if row["user_id"] == user]
    assert times and min(times) > middle


def held(settings: Settings, user: str) -> dict[str, int]:
    """Rows of tables and keys of Redis with the user, where there are some."""
    found = {}
    with psycopg.connect(settings.postgres_conninfo) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.columns WHERE column_name = 'user_id' "
            "AND table_schema IN ('features', 'live') AND table_name <> 'erasures'"
        ).fetchall()
        for schema, table in tables:
            count = connection.execute(f"SELECT count(*) FROM {schema}.{table} WHERE user_id = %s", [user]).fetchone()
            found[f"{schema}.{table}"] = count[0] if count else 0
    with redis.Redis.from_url(settings.redis) as client:
        found["redis"] = sum(user.encode() in key for key in client.scan_iter())
    return {name: count for name, count in found.items() if count}


def test_delete_removes_all_at_once_and_the_next_run_keeps_it_so(context: Context, shop: Shop) -> None:
    settings, model = context.settings, bundle()
    fill_lake(context.root, logs(shop), shop.products)
    run_stages(context, publishing=True)
    user = busiest(context)
    others = {u for u in _users(settings) if u != user}
    with redis.Redis.from_url(settings.redis) as client:
        client.zadd(f"live:recomart:{user}", {b"an event": 1.0})
    assert {"features.user_activity_v1", "features.recent_days", "redis"} <= held(settings, user).keys()

    app = create_app(settings, backends=lambda _: Memory({1: model}), refresh_seconds=0.05)
    with TestClient(app) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        event = {"event_id": "e-live", "user_id": user, "item_id": "P0001", "event_type": "view"}
        assert client.post("/events", json=event | {"timestamp": datetime.now(UTC).isoformat()}).status_code == 202
        assert client.get("/recommend", params={"user_id": user}).status_code == 200
        eventually(lambda: "live.recommendations" in held(settings, user))
        first = client.delete(f"/users/{user}")
        second = client.delete(f"/users/{user}")
        assert app.state.services.erasures.forgets(user, datetime.now(UTC).timestamp() - 60)
        assert not app.state.services.erasures.forgets(user, datetime.now(UTC).timestamp() + 60)
    removed = first.json()["removed"]
    assert (first.status_code, first.json()["user_id"]) == (200, user)
    assert removed["features"] > 10 and removed["online"] > 3
    assert (removed["events"], removed["recommendations"]) == (1, 1)
    assert second.json()["removed"] == {"events": 0, "recommendations": 0, "features": 0, "online": 0}
    assert held(settings, user) == {}
    assert _users(settings) == others

    _published_by_a_run_that_began_before(context)
    assert held(settings, user) == {}
    run_stages(context, publishing=True)
    assert mentions(context.root, user) == []
    assert held(settings, user) == {}
    assert _users(settings) == others
    with postgres.connect(settings) as connection:
        row = connection.execute("SELECT user_hash, user_id, applied_at IS NOT NULL FROM live.erasures").fetchone()
    assert row == (user_hash(user), None, True)


def _users(settings: Settings) -> set[str]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        rows = connection.execute("SELECT DISTINCT user_id FROM features.user_activity_v1").fetchall()
    return {user for (user,) in rows}


def _published_by_a_run_that_began_before(context: Context) -> None:
    """The features on disk still have the user; publishing them anew writes the tables whole."""
    with psycopg.connect(context.settings.postgres_conninfo) as connection:
        connection.execute("UPDATE features.loads SET sha256 = 'another file'")
    publish.run(context)


def test_delete_says_when_nothing_can_be_erased(settings: Settings) -> None:
    model, gone = (
        bundle(),
        settings.model_copy(update={"postgres_host": "127.0.0.1", "postgres_port": 1, "auth": "off"}),
    )
    app = create_app(gone, backends=lambda _: Memory({1: model}), refresh_seconds=0.05)
    with TestClient(app) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        response = client.delete("/users/U1")
    assert (response.status_code, response.headers["Content-Type"]) == (503, "application/problem+json")
    assert response.headers["Retry-After"]
    shutil.rmtree(settings.root / "logs", ignore_errors=True)
