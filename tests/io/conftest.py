"""One published shop for the tests that only read it."""

from collections.abc import Iterator

import pytest

from pipelines.io.features import feast_store
from pipelines.settings import Settings
from tests.conftest import SESSIONS, own_databases
from tests.feature_data import product, published, random_events

EVENTS = [e | {"category": "c" if e["item_id"] == "i0" else None} for e in random_events(seed=10, n=200)]
ITEMS = [product(f"i{n}", 0, category=None if n else "c") for n in range(4)]


@pytest.fixture(scope="session")
def shop(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """``EVENTS`` and ``ITEMS``, published up to day 50."""
    with own_databases(servers, tmp_path_factory.mktemp("shop"), SESSIONS) as settings:
        yield published(settings, EVENTS, ITEMS)


@pytest.fixture
def store(shop: Settings) -> feast_store.FeatureStore:
    return feast_store.open_store(shop)
