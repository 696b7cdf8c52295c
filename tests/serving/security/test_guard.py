"""The guard before a running service, with real keys in Postgres and real counts in Redis."""

import json
import logging
import time

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipelines.core import api_keys as form
from pipelines.core.api_keys import Scope
from pipelines.io import postgres
from pipelines.io.live import api_keys
from pipelines.settings import Settings
from serving.logs import JsonLines
from tests.serving.security.conftest import MakeKey, Serve
from tests.serving.shop import eventually

USER = {"user_id": "U1"}


def as_bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def asked(client: TestClient, key: str | None = None) -> int:
    return client.get("/recommend", params=USER, headers=as_bearer(key) if key else {}).status_code


def test_service_that_others_reach_refuses_all_until_there_is_a_key(serve: Serve, make_key: MakeKey) -> None:
    client = serve(api_host="0.0.0.0")
    response = client.get("/recommend", params=USER)
    assert (response.status_code, response.headers["Content-Type"]) == (401, "application/problem+json")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "python -m pipelines keys create" in response.json()["detail"]
    assert response.json()["instance"] == "/recommend"
    key = make_key(Scope.READ)
    eventually(lambda: asked(client, key) == 200)
    assert asked(client) == 401


def test_open_paths_need_no_key(serve: Serve) -> None:
    client = serve(auth="required")
    paths = ("/health", "/ready", "/metrics", "/docs", "/openapi.json", "/")
    assert [client.get(path).status_code for path in paths] == [200] * len(paths)


def test_metrics_can_be_closed(serve: Serve, make_key: MakeKey) -> None:
    client = serve(auth="required", metrics_open=False)
    assert client.get("/metrics").status_code == 401
    key = make_key(Scope.READ)
    eventually(lambda: client.get("/metrics", headers={"X-API-Key": key}).status_code == 200)


def test_revoked_key_stops(serve: Serve, make_key: MakeKey, settings: Settings) -> None:
    key = make_key(Scope.READ)
    client = serve()
    assert asked(client, key) == 200
    parsed = form.parse(key)
    assert parsed is not None
    with postgres.connect(settings) as connection:
        api_keys.revoke(connection, parsed[0])
    eventually(lambda: asked(client, key) == 401)


def test_key_of_another_scope_is_forbidden(serve: Serve, make_key: MakeKey) -> None:
    client, key = serve(), make_key(Scope.WRITE)
    eventually(lambda: asked(client, key) == 403)
    problem = client.get("/recommend", params=USER, headers=as_bearer(key)).json()
    assert problem["title"] == "Forbidden"
    assert "scope read" in problem["detail"]


def test_known_key_stays_valid_while_postgres_is_down(serve: Serve, make_key: MakeKey, settings: Settings) -> None:
    from serving.security.watched import Watched

    key, broken = make_key(Scope.READ), settings.model_copy(update={"postgres_host": "127.0.0.1", "postgres_port": 1})
    client = serve()
    watching = client.app.state.services.security.watch  # type: ignore[attr-defined]
    assert asked(client, key) == 200
    watching._read = Watched(broken)
    watching.look()
    assert asked(client, key) == 200
    assert asked(client, key[:-1] + ("a" if key[-1] != "a" else "b")) == 401


def test_too_many_requests_are_told_when_to_come_again(serve: Serve, make_key: MakeKey) -> None:
    slow, fast = make_key(Scope.READ, rate_limit=0.5), make_key(Scope.READ)
    client = serve()
    statuses = [asked(client, slow) for _ in range(12)]
    assert statuses.count(200) in (5, 6, 7, 8, 9, 10)  # 5 a window; a window may begin meanwhile
    refused = client.get("/recommend", params=USER, headers=as_bearer(slow))
    assert (refused.status_code, refused.headers["Content-Type"]) == (429, "application/problem+json")
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert asked(client, fast) == 200
    assert client.get("/health").status_code == 200


def test_limit_of_the_service_can_be_off(serve: Serve) -> None:
    limited, free = serve(rate_limit=0.1), serve(rate_limit=0)
    assert 429 in [asked(limited) for _ in range(4)]  # one a window
    assert [asked(free) for _ in range(4)] == [200] * 4


def test_two_processes_count_together(serve: Serve, make_key: MakeKey) -> None:
    key = make_key(Scope.READ, rate_limit=0.4)
    one, other = serve(), serve()
    assert asked(one, key) == 200

    def all_refused() -> bool:
        statuses = [asked(one, key), asked(other, key)]
        time.sleep(0.15)  # they hear of each other
        return statuses == [429, 429]

    eventually(all_refused)


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body_is_refused_unread(serve: Serve, chunked: bool) -> None:
    client = serve(max_body_bytes=100)
    body = json.dumps({"user_id": "U1", "exclude": ["P" * 200]}).encode()
    content = iter([body[:50], body[50:]]) if chunked else body
    response = client.post("/recommend", content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.headers["Content-Type"]) == (413, "application/problem+json")
    assert "100 bytes" in response.json()["detail"]
    assert client.post("/recommend", json=USER).status_code == 200


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("user_id=U1&x=" + "x" * 9000, {}, 414),
        ("user_id=U1", {"x-long": "x" * 17_000}, 431),
        ("user_id=U1", {f"x-{n}": "" for n in range(101)}, 431),
    ],
)
def test_large_head_is_refused(client: TestClient, query: str, headers: dict[str, str], status: int) -> None:
    response = client.get(f"/recommend?{query}", headers=headers)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")


def test_slow_route_is_answered_at_the_deadline(serve: Serve) -> None:
    def prepare(app: FastAPI) -> None:
        app.add_api_route("/slow", lambda: time.sleep(0.6))

    client = serve(prepare, request_timeout_s=0.2)
    response = client.get("/slow")
    assert (response.status_code, response.headers["Content-Type"]) == (504, "application/problem+json")
    assert "0.2 seconds" in response.json()["detail"]
    assert asked(client) == 200


def test_other_origins_are_shut_out_unless_named(serve: Serve) -> None:
    asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    closed, opened = serve(), serve(cors_origins="https://shop.example, https://b.example")
    assert "Access-Control-Allow-Origin" not in closed.get("/recommend", params=USER, headers=asking).headers
    preflight = opened.options("/recommend", headers=asking)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, "https://shop.example")
    foreign = opened.get("/recommend", params=USER, headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in foreign.headers


def test_refusals_carry_id_and_security_headers(serve: Serve) -> None:
    headers = serve(auth="required").get("/recommend", headers={"X-Request-Id": "r-1"}).headers
    assert headers["X-Request-Id"] == "r-1"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_refusals_are_counted(serve: Serve) -> None:
    client = serve(auth="required")
    for _ in range(3):
        client.get("/recommend")
    assert 'recomart_rejected_requests_total{status="401"} 3.0' in client.get("/metrics").text


def test_log_names_the_key_and_holds_no_secret(
    serve: Serve, make_key: MakeKey, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    key = make_key(Scope.READ)
    client = serve(auth="required")
    with caplog.at_level(logging.DEBUG):
        assert asked(client, key) == 200
        client.get("/recommend", params={"user_id": key}, headers=as_bearer(key + "x"))
        client.get(f"/users/{key}/features", headers={"X-API-Key": key})
        logging.getLogger("serving").warning("Postgres at %s", settings.postgres_conninfo)
        logging.getLogger("serving").warning("Redis at redis://:hunter2@redis:6379 with password=hunter2")
    text = "\n".join(JsonLines().format(record) for record in caplog.records if record.name.startswith("serving"))
    parsed = form.parse(key)
    assert parsed is not None
    assert f'"key":"{parsed[0]}"' in text
    secrets = [parsed[1], "hunter2", *filter(None, [settings.postgres_password])]
    assert not [secret for secret in secrets if secret in text]


def test_openapi_declares_keys_where_they_are_needed_and_what_the_guard_answers(app: FastAPI) -> None:
    schema = app.openapi()
    assert {scheme["type"] for scheme in schema["components"]["securitySchemes"].values()} == {"http", "apiKey"}
    paths = schema["paths"]
    assert paths["/recommend"]["get"]["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in paths["/health"]["get"]
    assert {"401", "403", "408", "413", "414", "429", "431", "503", "504"} <= set(
        paths["/recommend"]["post"]["responses"]
    )
    assert not {"401", "403", "429", "413"} & set(paths["/health"]["get"]["responses"])
