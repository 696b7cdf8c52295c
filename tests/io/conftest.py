"""One published shop for the tests that only read it."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
import redis

from pipelines.io import feast_store
from pipelines.settings import Settings
from tests.feature_data import product, published, random_events

EVENTS = [e | {"category": "c" if e["item_id"] == "i0" else None} for e in random_events(seed=10, n=200)]
ITEMS = [product(f"i{n}", 0, category=None if n else "c") for n in range(4)]


@pytest.fixture(scope="session")
def shop(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """``EVENTS`` and ``ITEMS``, published up to day 50."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(servers.postgres_conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        redis_url = servers.redis.rsplit("/", 1)[0] + "/13"
        root = tmp_path_factory.mktemp("shop")
        here = servers.model_copy(update={"root": root, "postgres_db": name, "redis_url": redis_url})
        yield published(here, EVENTS, ITEMS)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()


@pytest.fixture
def store(shop: Settings) -> feast_store.FeatureStore:
    return feast_store.open_store(shop)
