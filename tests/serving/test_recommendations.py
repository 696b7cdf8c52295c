"""GET /recommendations/{id}: the log over HTTP."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipelines.core.errors import ModelError
from pipelines.core.models.bundle import Bundle
from pipelines.settings import Settings
from serving.app import create_app
from serving.services import Services
from tests.serving.shop import Memory, bundle, eventually

PLAN = """
experiments:
  - name: spring
    arms: [{name: control, model: champion, weight: 0.5}, {name: new, model: 2, weight: 0.5}]
shadow: {model: 2, share: 1}
"""


class Registry(Memory):
    def bundle(self, version: int) -> Bundle:
        if version not in self.bundles:
            raise ModelError("its bundle is gone")
        return super().bundle(version)


@pytest.fixture
def memory(model: Bundle) -> Memory:
    return Registry({1: model, 2: bundle(per_source=3)})


@pytest.fixture
def app(settings: Settings, memory: Memory) -> FastAPI:
    """The service with a real Postgres and an experiment."""
    Path(settings.root / "plan.yaml").write_text(PLAN, encoding="utf-8")
    own = settings.model_copy(update={"experiments": Path("plan.yaml"), "auth": "off"})
    return create_app(own, backends=lambda _: memory, refresh_seconds=0.05)


@pytest.fixture
def services(app: FastAPI, client: TestClient) -> Iterator[Services]:
    services = app.state.services
    eventually(lambda: set(services.keeper.held) == {"champion", "2"})
    yield services


def recommend(client: TestClient, user_id: str | None, **asked: object) -> dict:
    """The answer."""
    response = client.post("/recommend", json={"user_id": user_id, "k": 3, **asked})
    assert response.status_code == 200
    return response.json()


def users(services: Services, arm: str) -> list[str]:
    return [f"U{n}" for n in range(10) if services.experiments.assign(f"U{n}").arm == arm]


@pytest.mark.parametrize("arm", ["control", "new"])
def test_recommendation_is_told_as_it_was_given_and_computed_again(
    services: Services, client: TestClient, arm: str
) -> None:
    user = users(services, arm)[0]
    given = recommend(client, user)
    eventually(lambda: services.replay.waiting == 0)
    answer = client.get(f"/recommendations/{given['recommendation_id']}").json()
    same = ("recommendation_id", "user_id", "model_version", "feature_service", "strategy", "degraded")
    assert {name: answer[name] for name in same} == {name: given[name] for name in same}
    assert given["model_version"] == {"control": "1", "new": "2"}[arm]
    assert (answer["experiment"], answer["arm"], answer["propensity"]) == ("spring", arm, 0.5)
    assert answer["query"] == {"k": 3}
    shown = ("item_id", "rank", "score", "source", "reason")
    assert [[item[name] for name in shown] for item in answer["items"]] == [
        [item[name] for name in shown] for item in given["items"]
    ]
    assert answer["items"][0]["features"]["user_activity_v1__views_7d"] == 3.0
    assert answer["recomputed"]["identical"] is True
    assert [(i["item_id"], i["score"]) for i in answer["recomputed"]["items"]] == [
        (i["item_id"], i["score"]) for i in given["items"]
    ]
    assert answer["candidates"] is None


@pytest.mark.parametrize(
    "asked",
    [
        {"exclude": ["P1"], "max_price": 80, "in_stock": False},
        {"diversity": 0.7},
        {"max_per_category": 1},
        {"recent_items": ["P2", "P4"], "shown": ["P6"], "exclude_categories": ["odd"]},
        {"explain": True, "device": "mobile"},
        {"categories": ["none such"]},
    ],
)
@pytest.mark.parametrize("user", ["U4", "nobody", None])
def test_recommendation_of_any_query_is_computed_again_to_the_same(
    services: Services, client: TestClient, user: str | None, asked: dict
) -> None:
    given = recommend(client, user, **asked)
    answer = client.get(f"/recommendations/{given['recommendation_id']}").json()
    assert answer["recomputed"]["identical"] is True
    assert [item["item_id"] for item in answer["recomputed"]["items"]] == [i["item_id"] for i in given["items"]]
    assert answer["query"] == {"k": 3, **asked}


def test_recommendation_that_still_waits_is_told(services: Services, client: TestClient) -> None:
    new = recommend(client, "U4")["recommendation_id"]
    response = client.get(f"/recommendations/{new}")
    assert (response.status_code, response.json()["recommendation_id"]) == (200, new)
    assert response.headers["Cache-Control"] == "no-store"


def test_recommendation_shows_all_candidates_if_asked(services: Services, client: TestClient) -> None:
    new = recommend(client, "U4")["recommendation_id"]
    answer = client.get(f"/recommendations/{new}", params={"candidates": True}).json()
    assert len(answer["candidates"]) == answer["candidate_count"] >= 3
    best = max(answer["candidates"], key=lambda one: one["score"])
    assert (best["item_id"], best["score"], best["kept"]) == ("P4", answer["items"][0]["score"], True)


def test_recommendation_to_nobody_is_told(services: Services, client: TestClient) -> None:
    new = recommend(client, None)["recommendation_id"]
    answer = client.get(f"/recommendations/{new}").json()
    assert (answer["user_id"], answer["experiment"], answer["propensity"]) == (None, None, 1.0)


def test_recommendation_of_a_model_that_is_gone_is_told_without_the_list_again(
    services: Services, client: TestClient, memory: Memory
) -> None:
    user = users(services, "control")[0]
    new = recommend(client, user)["recommendation_id"]
    memory.bundles[3], memory.version = memory.bundles.pop(1), 3
    eventually(lambda: services.keeper.snapshot is not None and services.keeper.snapshot.version == 3)
    answer = client.get(f"/recommendations/{new}").json()
    assert (answer["model_version"], answer["recomputed"]) == ("1", None)
    assert answer["not_recomputed_because"] == "model version 1 can't be loaded: ModelError"
    assert answer["items"][0]["item_id"] == f"P{user[1:]}"


def test_list_that_another_model_would_give_is_not_called_identical(
    services: Services, client: TestClient, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = users(services, "control")[0]
    new = recommend(client, user)["recommendation_id"]
    ranker = memory.bundles[1].ranker
    assert ranker is not None
    monkeypatch.setitem(vars(ranker), "trees", None)
    assert client.get(f"/recommendations/{new}").json()["recomputed"]["identical"] is False


def test_unknown_recommendation_is_a_problem(client: TestClient) -> None:
    response = client.get("/recommendations/00000000-0000-0000-0000-000000000000")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == "no recommendation 00000000-0000-0000-0000-000000000000 is kept"


def test_recommendation_by_what_is_no_id_is_invalid(client: TestClient) -> None:
    response = client.get("/recommendations/17")
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "recommendation_id")


def test_shadow_is_logged_beside_what_was_shown(services: Services, client: TestClient, settings: Settings) -> None:
    user = users(services, "control")[0]
    new = recommend(client, user)["recommendation_id"]
    eventually(lambda: services.replay.written == 2)
    with psycopg.connect(settings.postgres_conninfo) as connection:
        found = connection.execute("SELECT id FROM live.recommendations WHERE shadow_of = %s", [new]).fetchone()
    assert found
    answer = client.get(f"/recommendations/{found[0]}").json()
    assert (answer["shadow_of"], answer["model_version"], answer["user_id"]) == (new, "2", user)
    assert (answer["experiment"], answer["recomputed"]["identical"]) == (None, True)


def test_shadow_knows_nothing_of_an_erased_user_either(
    services: Services, client: TestClient, settings: Settings
) -> None:
    user = users(services, "control")[0]
    services.erasures.note(user, time.time())
    new = recommend(client, user)["recommendation_id"]
    eventually(lambda: services.replay.written == 2)
    with psycopg.connect(settings.postgres_conninfo) as connection:
        found = connection.execute("SELECT strategy FROM live.recommendations WHERE shadow_of = %s", [new]).fetchone()
    assert found == ("popular",)


def test_ready_says_what_stands_in_the_way_of_an_experiment(
    services: Services, client: TestClient, settings: Settings
) -> None:
    eventually(lambda: client.get("/ready").json()["parts"]["log"] == {"ok": True, "detail": None})
    assert client.get("/ready").json()["parts"]["experiments"] == {"ok": True, "detail": None}
    (settings.root / "plan.yaml").write_text(PLAN.replace("model: 2, weight", "model: next, weight"), encoding="utf-8")
    wanted = {"ok": False, "detail": "next: no model version goes by 'next'"}
    eventually(lambda: client.get("/ready").json()["parts"]["experiments"] == wanted)
    assert client.get("/ready").json()["status"] == "ready"
