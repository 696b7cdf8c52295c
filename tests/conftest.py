"""Real Postgres and Redis for the tests: those that the environment names, else embedded ones of this session."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
from psycopg import sql

from pipelines.settings import VARIABLES, Settings

CHECKOUT = Path(__file__).resolve().parents[1]

REDIS_DATABASE = 15 - int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""One for each process that runs tests: the environment may name one server for all of them."""


def pytest_configure(config: pytest.Config) -> None:
    """Take byte code and interactive back ends out of the way of every process that a test starts."""
    os.environ.setdefault("MPLBACKEND", "agg")
    os.environ["PYTHONPATH"] = str(CHECKOUT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that needs the servers: `make test-fast` leaves them out."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker("services")


SERVERS = {*VARIABLES.values(), "FEAST_REDIS"}
BEFORE = {name: os.environ[name] for name in SERVERS if name in os.environ}


@pytest.fixture(autouse=True)
def environment() -> None:
    """The environment of the session: Feast learns of servers from it, and what one test named is gone in the next."""
    for name in SERVERS - BEFORE.keys():
        os.environ.pop(name, None)
    os.environ.update(BEFORE)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings that name a running Postgres and a running Redis."""
    root = tmp_path_factory.mktemp("servers")
    pipelines(root, "up")
    yield Settings.load(root, os.environ)
    pipelines(root, "down", "--purge")  # under root its data may be elsewhere


@pytest.fixture
def settings(servers: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings with an empty Postgres database and an empty Redis database of the test's own."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(servers.postgres_conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    redis_url = f"{servers.redis.rsplit('/', 1)[0]}/{REDIS_DATABASE}"
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    mlflow = f"sqlite:///{tmp_path}/data/services/mlflow/mlflow.db"
    changed = {"root": tmp_path, "postgres_db": name, "redis_url": redis_url, "mlflow_tracking_uri": mlflow}
    yield servers.model_copy(update=changed)
    with psycopg.connect(servers.postgres_conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def pipelines(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m pipelines …`` in ``root``; a failure shows what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
