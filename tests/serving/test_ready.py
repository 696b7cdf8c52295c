import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipelines.core.errors import ConfigError
from pipelines.core.models.bundle import Bundle
from pipelines.settings import Settings
from serving.app import create_app
from serving.snapshot import Cards
from tests.serving.shop import CUT, Memory, Shelf, bundle, eventually


def _parts(client: TestClient) -> dict:
    return client.get("/ready").json()["parts"]


def test_health_answers_while_nothing_is_loaded(starting: TestClient, memory: Memory) -> None:
    memory.version = None
    response = starting.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


def test_ready_says_what_is_missing_then_becomes_ready(app: FastAPI, memory: Memory) -> None:
    memory.version = None
    with TestClient(app) as client:
        eventually(lambda: "promoted" in client.get("/ready").json()["parts"]["model"]["detail"])
        response = client.get("/ready")
        assert (response.status_code, response.json()["status"]) == (503, "starting")
        recommendation = client.get("/recommend", params={"user_id": "U1"})
        assert (recommendation.status_code, recommendation.headers["Retry-After"]) == (503, "2")
        assert "no model is promoted yet" in recommendation.json()["detail"]
        memory.version = 1
        eventually(lambda: client.get("/ready").status_code == 200)


@pytest.fixture
def one_of_two(memory: Memory, tmp_path: Path) -> FastAPI:
    """One of several workers."""
    settings = Settings.load(tmp_path, {"RECOMART_WORKERS": "2"})
    return create_app(settings, backends=lambda _: memory, refresh_seconds=0.05)


def test_worker_among_others_takes_no_request_before_it_has_a_model(one_of_two: FastAPI, memory: Memory) -> None:
    memory.version = None
    threading.Timer(0.5, setattr, (memory, "version", 1)).start()
    with TestClient(one_of_two) as client:
        assert client.get("/recommend", params={"user_id": "U1"}).status_code == 200


def test_worker_among_others_does_not_wait_for_ever(one_of_two: FastAPI, memory: Memory) -> None:
    memory.version = None
    one_of_two.state.patience = 0.2
    with TestClient(one_of_two) as client:
        assert client.get("/ready").status_code == 503


def test_ready_tells_versions_and_ages(client: TestClient) -> None:
    answer = client.get("/ready").json()
    age = answer["parts"]["features"].pop("age_seconds")
    assert answer["parts"].pop("log")["ok"] is False  # there is no Postgres
    assert answer["parts"].pop("events")["ok"] is True  # nor has one been asked
    assert abs(age - (datetime.now(UTC) - CUT).total_seconds()) < 10
    assert answer == {
        "status": "ready",
        "parts": {
            "model": {"ok": True, "detail": None, "version": "1", "cut": "2026-03-01T00:00:00+00:00"},
            "features": {
                "ok": True,
                "detail": None,
                "feature_service": "ranker_v1",
                "as_of": "2026-03-01T00:00:00Z",
            },
            "redis": {"ok": True, "detail": None},
            "keys": {"ok": True, "detail": None},
            "rules": {"ok": True, "detail": None},
            "experiments": {"ok": True, "detail": None},
        },
    }


def test_ready_waits_for_features_while_answers_come_already(app: FastAPI, memory: Memory) -> None:
    memory.shelf.down = True
    with TestClient(app) as client:
        eventually(lambda: client.get("/recommend", params={"user_id": "U4"}).status_code == 200)
        answer = client.get("/recommend", params={"user_id": "U4", "k": 1}).json()
        assert answer["degraded"] is True
        assert (answer["items"][0]["item_id"], answer["items"][0]["title"]) == ("P4", "P4")
        assert client.get("/ready").status_code == 503
        assert "Redis" in _parts(client)["features"]["detail"]
        memory.shelf.down = False
        eventually(lambda: client.get("/ready").status_code == 200)


def test_ready_stays_when_the_store_fails_later(client: TestClient, memory: Memory) -> None:
    memory.shelf.down = True
    eventually(lambda: _parts(client)["features"]["ok"] is False)
    response = client.get("/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "connection refused" in response.json()["parts"]["redis"]["detail"]


def test_answers_are_degraded_once_the_store_is_empty(client: TestClient, memory: Memory) -> None:
    memory.shelf.empty = True
    asked = {"user_id": "U4", "k": 1}
    eventually(lambda: client.get("/recommend", params=asked).json()["degraded"])
    answer = client.get("/recommend", params=asked).json()
    assert (answer["items"][0]["item_id"], answer["items"][0]["title"]) == ("P4", "Product P4")
    assert "materialize" in _parts(client)["features"]["detail"]
    memory.shelf.empty = False
    eventually(lambda: client.get("/recommend", params=asked).json()["degraded"] is False)


def test_service_swaps_to_a_new_champion(client: TestClient, memory: Memory) -> None:
    memory.bundles[2] = bundle(per_source=3)
    memory.version = 2
    eventually(lambda: client.get("/recommend", params={"user_id": "U4"}).json()["model_version"] == "2")


def test_service_goes_on_with_a_model_of_an_older_feature_service_beside_a_newer_one(
    client: TestClient, memory: Memory
) -> None:
    def service() -> tuple[str, str, bool]:
        answer = client.get("/recommend", params={"user_id": "U4", "k": 1}).json()
        assert answer["items"][0]["item_id"] == "P4"
        return answer["model_version"], answer["feature_service"], answer["degraded"]

    assert service() == ("1", "ranker_v1", False)
    memory.bundles[2], memory.version = bundle(service="ranker_v2"), 2
    eventually(lambda: service() == ("2", "ranker_v2", False))
    memory.version = 1
    eventually(lambda: service() == ("1", "ranker_v1", False))


def test_service_keeps_its_model_when_the_registry_fails(client: TestClient, memory: Memory) -> None:
    memory.down = True
    eventually(lambda: _parts(client)["model"]["ok"] is False)
    assert client.get("/ready").json()["status"] == "degraded"
    assert client.get("/recommend", params={"user_id": "U4"}).json()["model_version"] == "1"


def test_service_keeps_its_model_when_the_new_one_cannot_answer(
    client: TestClient, memory: Memory, model: Bundle
) -> None:
    memory.bundles[2] = replace(model, ranker=None)
    memory.version = 2
    eventually(lambda: _parts(client)["model"]["ok"] is False)
    answer = client.get("/recommend", params={"user_id": "U4", "k": 1}).json()
    assert (answer["model_version"], answer["items"][0]["item_id"]) == ("1", "P4")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_service_answers_on_and_says_so_when_refreshing_breaks(client: TestClient, memory: Memory) -> None:
    memory.version = 404  # a version that the memory doesn't hold: KeyError, which nobody foresaw
    eventually(lambda: _parts(client)["model"]["ok"] is False)
    assert "unexpected KeyError" in _parts(client)["model"]["detail"]
    assert client.get("/recommend", params={"user_id": "U4"}).json()["model_version"] == "1"


def test_service_refuses_a_model_whose_features_are_not_offered(
    client: TestClient, memory: Memory, model: Bundle
) -> None:
    class Poor(Shelf):
        def user(self, user_id: str) -> dict[str, float]:
            return {}

    memory.bundles[2], memory.shelf, memory.version = model, Poor(), 2
    eventually(lambda: _parts(client)["model"]["ok"] is False)
    assert "does not offer" in _parts(client)["model"]["detail"]
    assert _parts(client)["model"]["version"] == "1"


def test_service_takes_over_newer_item_features(client: TestClient, memory: Memory) -> None:
    memory.shelf.as_of = CUT + timedelta(days=1)
    memory.shelf.prices["P4"] = 1.5
    eventually(lambda: _parts(client)["features"]["as_of"] == "2026-03-02T00:00:00Z")
    assert client.get("/recommend", params={"user_id": "U4", "k": 1}).json()["items"][0]["price"] == 1.5


def test_item_of_which_the_store_knows_nothing_can_be_shown(model: Bundle) -> None:
    values = Shelf().cards(model.item_ids.tolist())
    values["title"][4], values["in_stock"][[4, 5]] = None, False
    cards = Cards.of(model, values)
    assert (cards.title[4], bool(cards.in_stock[4]), bool(cards.in_stock[5])) == ("P4", True, False)


def test_ready_says_that_new_rules_are_broken(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("hide:\n  - {items: [P4]}\n", encoding="utf-8")
    settings = Settings.load(tmp_path, {"RECOMART_RULES": "rules.yaml"})
    app = create_app(settings, backends=lambda _: memory, refresh_seconds=0.05)
    with TestClient(app) as client:
        eventually(lambda: client.get("/ready").json()["status"] == "ready")
        (tmp_path / "rules.yaml").write_text("hide:\n  - {itms: [P4]}\n", encoding="utf-8")
        eventually(lambda: client.get("/ready").json()["status"] == "degraded")
        assert "rules.yaml:2: hide.0.itms" in _parts(client)["rules"]["detail"]


def test_service_does_not_start_with_broken_rules(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("hide: P4\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rules.yaml:1: hide"):
        create_app(Settings.load(tmp_path, {"RECOMART_RULES": "rules.yaml"}), backends=lambda _: memory)
