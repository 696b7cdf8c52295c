"""Real Postgres and Redis for the tests: those that the environment names, else embedded ones of this session.

The environment may name one server for all processes that run tests, so nothing here is shared between two of them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import prometheus_client  # noqa: F401  before Feast, whose import makes all counts those of several processes
import psycopg
import pytest
import redis

from pipelines.settings import VARIABLES, Settings

CHECKOUT = Path(__file__).resolve().parents[1]

TESTS, MODULES, SESSIONS = range(3)
"""Whose databases: one test's, one module's, the session's. All three may be in use at once."""


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
    root, database = tmp_path_factory.mktemp("servers"), {"POSTGRES_DB": f"test_{uuid4().hex[:12]}"}
    pipelines(root, "up", **database)
    settings = Settings.load(root, os.environ | database)
    yield settings
    with psycopg.connect(settings.postgres_conninfo, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {settings.postgres_db} WITH (FORCE)")
    pipelines(root, "down", "--purge")  # under root its data may be elsewhere


@pytest.fixture
def settings(servers: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings with an empty Postgres database and an empty Redis database of the test's own."""
    with own_databases(servers, tmp_path, TESTS) as own:
        yield own


@contextmanager
def own_databases(servers: Settings, root: Path, whose: int) -> Iterator[Settings]:
    """Settings of ``root`` with an empty Postgres database and an empty Redis database; at the end both go."""
    name = f"test_{uuid4().hex[:12]}"
    own = {
        "root": root,
        "postgres_db": name,
        "redis_url": redis_database(servers, whose),
        "mlflow_tracking_uri": f"sqlite:///{root}/data/services/mlflow/mlflow.db",
    }
    settings = servers.model_copy(update=own)
    with psycopg.connect(servers.postgres_conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            emptied_redis(settings)
            yield settings
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            emptied_redis(settings)


def redis_database(servers: Settings, whose: int) -> str:
    """The URL of a Redis database that no other process's tests use, and in this process only those of ``whose``.

    Raises:
        ValueError: a Redis has 16 databases: too few for so many processes.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = 15 - whose * processes - int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    if number < 0:
        raise ValueError(f"{processes} processes run tests, 5 at most have Redis databases of their own")
    return urlsplit(servers.redis)._replace(path=f"/{number}").geturl()


def emptied_redis(settings: Settings) -> None:
    """Take everything out of the Redis database."""
    with redis.Redis.from_url(settings.redis) as client:
        client.flushdb()


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
