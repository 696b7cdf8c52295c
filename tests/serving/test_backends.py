"""The service on real servers: model from MLflow, features from Postgres and Redis through Feast."""

import argparse
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from pipelines.context import Context
from pipelines.core.bundle import Bundle
from pipelines.core.columns import PRODUCT_SCHEMA, UTC_US
from pipelines.io import bundles, registry
from pipelines.settings import Settings
from pipelines.stages import features, publish
from serving.app import create_app
from tests.conftest import CHECKOUT
from tests.serving.shop import CUT, SIZE, bundle, events, eventually

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def shop(settings: Settings, model: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The checkerboard shop published and its model promoted."""
    root = settings.root
    (root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    processed = root / "data/processed"
    processed.mkdir(parents=True)
    log = events()
    plain = {"is_bot": pa.repeat(False, len(log)), "cancelled_at": pa.nulls(len(log), UTC_US)}
    for name, column in plain.items():
        log = log.append_column(name, column)
    pq.write_table(log, processed / "prepared_interactions.parquet")
    known = {"price": 9.5, "valid_from": CUT.replace(month=1)}
    products = [{"item_id": f"P{i}", "title": f"Product {i}", "in_stock": i != 4, **known} for i in range(SIZE)]
    pq.write_table(pa.Table.from_pylist(products, PRODUCT_SCHEMA), processed / "products.parquet")
    for name, value in settings.exported().items():
        monkeypatch.setenv(name, value)
    for stage in (features, publish):
        stage.run(Context(argparse.Namespace(), settings))
    _promote(settings, model)
    yield settings


def _promote(settings: Settings, model: Bundle) -> int:
    folder = settings.root / "data/models/final"
    bundles.save(model, folder)
    uri = settings.mlflow_tracking_uri
    version = registry.register(uri, folder, description="a test's", metrics={}, params={}, tags={})
    registry.name_alias(uri, version.number, registry.CHAMPION)
    return version.number


def test_service_answers_from_mlflow_and_feast_and_follows_the_champion(shop: Settings) -> None:
    with TestClient(create_app(shop, refresh_seconds=0.2)) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        ready = client.get("/ready").json()
        assert ready["status"] == "ready"
        assert ready["parts"]["features"]["as_of"] == "2026-02-18T00:00:00Z"
        answer = client.get("/recommend", params={"user_id": "U5", "k": 1}).json()
        assert (answer["degraded"], answer["strategy"], answer["model_version"]) == (False, "personalized", "1")
        (item,) = answer["items"]
        assert (item["item_id"], item["title"], item["price"]) == ("P5", "Product 5", 9.5)
        sold_out = client.get("/recommend", params={"user_id": "U4", "k": 100}).json()
        assert "P4" not in {item["item_id"] for item in sold_out["items"]}
        known = client.get("/users/U5/features").json()
        assert known["features"]["user_activity_v1__views_all"] == 4.0
        assert client.get("/users/nobody/features").status_code == 404
        assert client.get("/recommend", params={"user_id": "nobody"}).json()["strategy"] == "popular"
        assert (shop.root / "data/serving/models/1/manifest.json").exists()
        assert _promote(shop, bundle(per_source=4)) == 2
        eventually(lambda: client.get("/recommend", params={"user_id": "U5"}).json()["model_version"] == "2")


def test_service_degrades_when_redis_refuses_connections(shop: Settings) -> None:
    refusing = shop.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    with TestClient(create_app(refusing, refresh_seconds=0.2)) as client:
        eventually(lambda: client.get("/recommend", params={"user_id": "U5"}).status_code == 200)
        answer = client.get("/recommend", params={"user_id": "U5", "k": 1}).json()
        assert (answer["degraded"], answer["strategy"]) == (True, "personalized")
        assert answer["items"][0]["item_id"] == "P5"
        assert client.get("/ready").status_code == 503
        assert "Redis" in client.get("/ready").json()["parts"]["features"]["detail"]
