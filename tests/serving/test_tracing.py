import json
import logging

import pytest
from fastapi.testclient import TestClient

from serving.logs import JsonLines


def test_request_id_is_taken_over(client: TestClient) -> None:
    response = client.get("/health", headers={"X-Request-Id": "order-7.b"})
    assert response.headers["X-Request-Id"] == "order-7.b"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, 'q"{}'])
def test_request_id_that_could_spoil_the_log_is_replaced(client: TestClient, bad: str) -> None:
    response = client.get("/health", headers={"X-Request-Id": bad})
    assert len(response.headers["X-Request-Id"]) == 36


def test_answers_carry_timings_and_security_headers(client: TestClient) -> None:
    headers = client.get("/recommend", params={"user_id": "U1"}).headers
    stages = [part.partition(";")[0] for part in headers["Server-Timing"].split(", ")]
    assert stages == ["candidates", "features", "rank", "total"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_each_request_is_one_json_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "serving.access"):
        client.get("/recommend", params={"user_id": "U1"}, headers={"X-Request-Id": "r-9"})
    (record,) = [r for r in caplog.records if getattr(r, "request_id", "") == "r-9"]
    line = json.loads(JsonLines().format(record))
    assert line["ms"] > 0
    expected = {
        "logger": "serving.access",
        "request_id": "r-9",
        "method": "GET",
        "path": "/recommend",
        "status": 200,
        "strategy": "personalized",
        "degraded": False,
        "model_version": "1",
        "items": 6,
    }
    assert {name: line[name] for name in expected} == expected
    assert "U1" not in line.values(), "a user's id is not for the log"


def test_change_of_the_stores_state_is_logged_once(client, memory, caplog: pytest.LogCaptureFixture) -> None:
    from serving.online import OnlineStore

    store = OnlineStore(pause_seconds=0)
    memory.shelf.down = True
    for _ in range(5):
        assert store.read(lambda: memory.shelf.user("U1")) is None
    memory.shelf.down = False
    for _ in range(5):
        assert store.read(lambda: memory.shelf.user("U1"))
    logged = [r.getMessage() for r in caplog.records if r.name == "serving.online"]
    assert [message.partition(":")[0] for message in logged] == [
        "online features can't be read, answers are degraded",
        "online features can be read again",
    ]
