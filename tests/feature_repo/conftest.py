"""Feast stores on the tests' Redis, ours and Feast's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from feast import FeatureStore, FeatureView, RepoConfig

from pipelines.settings import Settings
from tests.conftest import TESTS, emptied_redis, redis_database
from tests.offline_data import run_sql, store_with  # noqa: F401  fixtures
from tests.online_data import OURS, item, user


@pytest.fixture
def redis_settings(servers: Settings, tmp_path: Path) -> Settings:
    """Settings with an empty Redis database; without a Postgres database of its own, which takes a second."""
    settings = servers.model_copy(update={"root": tmp_path, "redis_url": redis_database(servers, TESTS)})
    emptied_redis(settings)
    return settings


@pytest.fixture
def client(redis_settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_settings.redis) as opened:
        yield opened


@pytest.fixture
def store_of(redis_settings: Settings) -> Callable[..., FeatureStore]:
    """A store with some views; ``kind="redis"`` is Feast's own on the same keys, other arguments are its settings."""

    def build(*views: FeatureView, project: str = "shop", kind: str = OURS, **online: Any) -> FeatureStore:
        where = redis_settings.exported()["FEAST_REDIS"]
        config = RepoConfig(
            project=project, provider="local", registry=str(redis_settings.root / f"{project}_{kind}.db"),
            offline_store="dask", entity_key_serialization_version=3,
            online_store={"type": kind, "connection_string": where} | online,
        )  # fmt: skip
        store = FeatureStore(config=config)
        store.apply([user, item, *views])
        return store

    return build
