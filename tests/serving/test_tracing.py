import json
import logging
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipelines.core.redaction import pseudonym
from pipelines.settings import Settings
from serving.app import create_app
from serving.logs import JsonLines
from tests.serving.shop import Memory, eventually


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
    assert {"candidates", "features", "rank"} < set(stages)
    assert stages[-1] == "total"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_page_of_the_docs_may_run_its_own_scripts_only(client: TestClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-inline'" in policy
    assert "http" not in policy


def test_unexpected_error_has_security_headers_too(app: FastAPI) -> None:
    app.add_api_route("/broken", lambda: 1 / 0)
    with TestClient(app, raise_server_exceptions=False) as client:
        headers = client.get("/broken").headers
    assert headers["X-Content-Type-Options"] == "nosniff"


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


def logged(client: TestClient, caplog: pytest.LogCaptureFixture, path: str) -> dict[str, object]:
    with caplog.at_level(logging.INFO, "serving.access"):
        client.get(path, headers={"X-Request-Id": "r-7"})
    (record,) = [r for r in caplog.records if getattr(r, "request_id", "") == "r-7"]
    line: dict[str, object] = json.loads(JsonLines().format(record))
    return line


def test_log_has_the_route_and_no_user(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    line = logged(client, caplog, "/users/U1/features")
    assert line["path"] == "/users/{user_id}/features"
    assert not {"user", "user_id"} & set(line)
    assert "U1" not in json.dumps(line)


def test_log_has_a_pseudonym_where_there_is_a_secret(
    memory: Memory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.load(tmp_path, {"RECOMART_LOG_SECRET": "s3cret"})
    with TestClient(create_app(settings, backends=lambda _: memory, refresh_seconds=0.05)) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        line = logged(client, caplog, "/users/U1/features")
    assert line["user"] == pseudonym("U1", "s3cret")
    assert "U1" not in json.dumps(line)


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
