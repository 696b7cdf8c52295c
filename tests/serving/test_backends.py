"""The service on real servers: model from MLflow, features from Postgres and Redis through Feast."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from pipelines.core.models.bundle import Bundle
from pipelines.io.models import bundles, registry
from pipelines.settings import Settings
from serving.app import create_app
from tests.feature_data import product, published
from tests.serving.shop import SIZE, bundle, events, eventually

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def shop(settings: Settings, model: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The checkerboard shop published and its model promoted."""
    columns = {"device": None, "price": None, "category": None}
    catalogue = [product(f"P{i}", -100, 9.5, title=f"Product {i}", in_stock=i != 4) for i in range(SIZE)]
    published(settings, [columns | row for row in events().to_pylist()], catalogue)
    for name, value in settings.exported().items():
        monkeypatch.setenv(name, value)
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
        assert (answer["strategy"], answer["model_version"]) == ("personalized", "1")
        # everything could be read, but the shop's log ended long ago
        assert answer["degraded"]
        assert all("is older than" in reason for reason in answer["degraded_because"])
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


def test_service_serves_models_of_either_feature_service(shop: Settings) -> None:
    def served() -> tuple[str, str, list[str], str]:
        answer = client.get("/recommend", params={"user_id": "U5", "k": 1}).json()
        best = answer["items"][0]["item_id"]
        unread = [reason for reason in answer["degraded_because"] if "older" not in reason]
        return answer["model_version"], answer["feature_service"], unread, best

    with TestClient(create_app(shop, refresh_seconds=0.2)) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        assert served() == ("1", "ranker_v1", [], "P5")
        assert _promote(shop, bundle(service="ranker_v2")) == 2
        eventually(lambda: served() == ("2", "ranker_v2", [], "P5"))
        known = client.get("/users/U5/features").json()["features"]
        assert known["user_activity_v2__distinct_items_all"] == 4.0
        registry.name_alias(shop.mlflow_tracking_uri, 1, registry.CHAMPION)
        eventually(lambda: served() == ("1", "ranker_v1", [], "P5"))


def test_service_degrades_when_redis_refuses_connections(shop: Settings) -> None:
    refusing = shop.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    with TestClient(create_app(refusing, refresh_seconds=0.2)) as client:
        eventually(lambda: client.get("/recommend", params={"user_id": "U5"}).status_code == 200)
        answer = client.get("/recommend", params={"user_id": "U5", "k": 1}).json()
        assert (answer["degraded"], answer["strategy"]) == (True, "personalized")
        assert answer["items"][0]["item_id"] == "P5"
        assert client.get("/ready").status_code == 503
        assert "Redis" in client.get("/ready").json()["parts"]["features"]["detail"]
