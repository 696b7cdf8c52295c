"""POST /events on a real Postgres and a real Redis."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis
from fastapi import FastAPI
from fastapi.testclient import TestClient

from feature_repo.stores import sessions
from pipelines.io.live import live_log
from pipelines.settings import Settings
from serving import events as module
from serving.app import create_app
from tests.conftest import CHECKOUT
from tests.serving.shop import Memory, eventually

pytestmark = pytest.mark.services

Serve = Callable[..., TestClient]
EVENT = {"event_id": "e1", "user_id": "U1", "item_id": "P3", "event_type": "view"}


@pytest.fixture
def serve(settings: Settings, memory: Memory) -> Iterator[Serve]:
    """Start the service with some settings changed, its sessions open."""
    (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    with ExitStack() as running:

        def start(**changed: object) -> TestClient:
            app = create_app(settings.model_copy(update=changed), backends=lambda _: memory, refresh_seconds=0.05)
            client = running.enter_context(TestClient(app, raise_server_exceptions=False))
            eventually(lambda: client.get("/ready").status_code == 200)
            eventually(lambda: app.state.services.events._sessions._sessions is not None)
            return client

        yield start


def stored(settings: Settings, columns: str = "event_id") -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        return connection.execute(f"SELECT {columns} FROM live.events ORDER BY seq".encode()).fetchall()


def session(settings: Settings, user_id: str = "U1") -> list[str]:
    with redis.Redis.from_url(settings.redis) as client:
        return sessions.unpack(client.zrevrange(sessions.key("recomart", user_id), 0, -1)).item_ids


def test_post_events_stores_one_event_and_shows_it_in_the_session(serve: Serve, settings: Settings) -> None:
    response = serve().post("/events", json=EVENT | {"timestamp": "2026-02-28T12:00:00.25+01:00", "price": 9.5})
    assert (response.status_code, response.json()) == (202, {"accepted": 1, "duplicates": 0, "unknown_items": []})
    at = datetime(2026, 2, 28, 11, 0, 0, 250_000, UTC)
    assert stored(settings, "event_id, user_id, item_id, ts, quantity, price, known_item") == [
        ("e1", "U1", "P3", at, 1, 9.5, True)
    ]
    assert session(settings) == ["P3"]


def test_post_events_of_a_batch_keeps_its_order_where_times_are_left_out(serve: Serve, settings: Settings) -> None:
    batch = [EVENT | {"event_id": f"e{9 - n}", "item_id": f"P{n}"} for n in range(4)]
    assert serve().post("/events", json=batch).json()["accepted"] == 4
    assert session(settings) == ["P3", "P2", "P1", "P0"]
    assert all(timedelta(0) <= age < timedelta(seconds=30) for (age,) in stored(settings, "now() - ts"))


def test_post_events_again_changes_nothing(serve: Serve, settings: Settings) -> None:
    client = serve()
    client.post("/events", json=EVENT)
    again = client.post("/events", json=[EVENT | {"item_id": "P5"}, EVENT | {"event_id": "e2"}, EVENT]).json()
    assert (again["accepted"], again["duplicates"]) == (1, 2)
    assert stored(settings, "event_id, item_id") == [("e1", "P3"), ("e2", "P3")]
    assert session(settings) == ["P3", "P3"]


def test_post_events_accepts_and_names_unknown_items(serve: Serve, settings: Settings) -> None:
    batch = [EVENT | {"event_id": f"e{n}", "item_id": i} for n, i in enumerate(["new-2", "P3", "new-1", "new-2"])]
    assert serve().post("/events", json=batch).json() == {
        "accepted": 4,
        "duplicates": 0,
        "unknown_items": ["new-1", "new-2"],
    }
    assert stored(settings, "item_id, known_item")[1] == ("P3", True)
    assert session(settings)[0] == "new-2"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["event_id", "user_id", "item_id", "event_type"]),
        ([], ["body"]),
        ("event", ["body"]),
        ([EVENT] * 1001, ["body"]),
        (EVENT | {"event_id": "e" * 257}, ["event_id"]),
        (EVENT | {"user_id": "  "}, ["user_id"]),
        (EVENT | {"user_id": "U\u00001"}, ["user_id"]),
        (EVENT | {"item_id": "P\n1"}, ["item_id"]),
        (EVENT | {"event_type": "like"}, ["event_type"]),
        (EVENT | {"timestamp": "2026-02-28T12:00:00"}, ["timestamp"]),
        (EVENT | {"timestamp": 1_700_000_000}, ["timestamp"]),
        (EVENT | {"timestamp": "9999-12-31T23:59:59-23:59"}, ["timestamp"]),
        (EVENT | {"timestamp": "1989-12-31T00:00:00Z"}, ["timestamp"]),
        (EVENT | {"quantity": 0}, ["quantity"]),
        (EVENT | {"price": -1}, ["price"]),
        (EVENT | {"colour": "red"}, ["colour"]),
        ([EVENT, EVENT | {"quantity": 1.5}], ["1.quantity"]),
    ],
)
def test_post_events_bad_input_names_the_field(client: TestClient, body: object, fields: list[str]) -> None:
    response = client.post("/events", json=body)
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/problem+json")
    assert [error["field"] for error in response.json()["errors"]] == fields


def test_post_events_refuses_what_lies_minutes_ahead_and_takes_what_a_clock_may_be(client: TestClient) -> None:
    for ahead, status in ((timedelta(minutes=6), 422), (timedelta(minutes=4), 503)):
        at = (datetime.now(UTC) + ahead).isoformat()
        assert client.post("/events", json=EVENT | {"timestamp": at}).status_code == status


def test_post_events_names_twenty_of_many_mistakes(client: TestClient) -> None:
    problem = client.post("/events", json=[{}] * 1000).json()
    assert len(problem["errors"]) == 20
    assert problem["detail"].endswith("; and 3980 more")


def test_post_events_of_a_bad_batch_stores_none_of_it(serve: Serve, settings: Settings) -> None:
    client = serve()
    client.post("/events", json=EVENT)
    assert client.post("/events", json=[EVENT | {"event_id": "e2"}, {}]).status_code == 422
    assert stored(settings) == [("e1",)]


def lost(client: TestClient, settings: Settings) -> module.EventLog:
    """The service's log of events, for which Postgres is nowhere."""
    log: module.EventLog = client.app.state.services.events  # type: ignore[attr-defined]
    led_to(log, settings.model_copy(update={"postgres_port": 1}))
    return log


def led_to(log: module.EventLog, settings: Settings) -> None:
    def change() -> None:
        log._opened()._settings = settings
        log._opened().close()

    log._thread.submit(change).result()  # whose connection it is


def test_post_events_without_postgres_acknowledges_nothing(serve: Serve, settings: Settings) -> None:
    client = serve()
    lost(client, settings)
    for _ in range(2):  # by the attempt, and while Postgres is left alone
        response = client.post("/events", json=EVENT)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
        assert "events can't be stored now: Postgres" in response.json()["detail"]
    assert client.get("/recommend", params={"user_id": "U1"}).status_code == 200


def test_post_events_goes_on_once_postgres_is_back(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.05)
    client = serve()
    client.post("/events", json=EVENT)
    log = lost(client, settings)
    assert client.post("/events", json=EVENT | {"event_id": "e2"}).status_code == 503
    led_to(log, settings)
    eventually(lambda: client.post("/events", json=EVENT | {"event_id": "e2"}).status_code == 202)
    assert stored(settings) == [("e1",), ("e2",)]


def test_ready_tells_whether_events_are_taken(serve: Serve, settings: Settings) -> None:
    client = serve()
    assert client.get("/ready").json()["parts"]["events"] == {"ok": True, "detail": None}
    log = lost(client, settings)
    eventually(lambda: not client.get("/ready").json()["parts"]["events"]["ok"])
    assert client.get("/ready").json()["status"] == "ready"
    led_to(log, settings)
    eventually(lambda: client.get("/ready").json()["parts"]["events"]["ok"])
    assert client.post("/events", json=EVENT).status_code == 202


def test_post_events_without_redis_is_acknowledged(serve: Serve, settings: Settings) -> None:
    client = serve(redis_url="redis://127.0.0.1:1/0")
    assert client.post("/events", json=EVENT).status_code == 202
    assert stored(settings) == [("e1",)]


def test_post_events_does_not_wait_for_ever(serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    client = serve()
    client.post("/events", json=EVENT)
    with psycopg.connect(settings.postgres_conninfo) as blocking:
        blocking.execute("LOCK TABLE live.events")
        response = client.post("/events", json=EVENT | {"event_id": "e2"})
        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
        assert client.post("/events", json=EVENT | {"event_id": "e3"}).status_code == 503  # at once
    eventually(lambda: client.post("/events", json=EVENT | {"event_id": "e3"}).status_code == 202)
    assert set(stored(settings)) == {("e1",), ("e2",), ("e3",)}  # e2 was begun and is sent again by whoever sent it


def test_post_events_are_counted(serve: Serve) -> None:
    client = serve()
    before = counted(client)
    client.post("/events", json=[EVENT, EVENT, EVENT | {"event_id": "e2", "item_id": "new"}])
    new = {outcome: n - before.get(outcome, 0) for outcome, n in counted(client).items()}
    assert new == {"accepted": 2, "duplicate": 1, "unknown_item": 1}
    assert 'recomart_queue_depth{queue="events"} 0.0' in client.get("/metrics").text


def counted(client: TestClient) -> dict[str, float]:
    """Events by outcome, of all services that this process ran: Prometheus' client may add them up."""
    found = re.findall(r'^recomart_events_total{outcome="(.+)"} (.+)$', client.get("/metrics").text, re.MULTILINE)
    return {outcome: float(n) for outcome, n in found}


def test_nobody_is_erased_between_the_commit_and_the_session(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_off: list[bool] = []

    def write(sessions: object, new: object) -> None:
        with psycopg.connect(settings.postgres_conninfo) as erasing:
            erasing.execute("SET lock_timeout = '100ms'")
            try:
                live_log.hold_off(erasing)
            except psycopg.errors.LockNotAvailable:
                held_off.append(True)

    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    monkeypatch.setattr(module.Sessions, "write", write)
    assert serve().post("/events", json=EVENT).status_code == 202
    assert held_off == [True]


def test_requests_that_wait_are_committed_together(
    serve: Serve, settings: Settings, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    client = serve()
    client.post("/events", json=EVENT)
    log: module.EventLog = client.app.state.services.events  # type: ignore[attr-defined]
    with psycopg.connect(settings.postgres_conninfo) as blocking, ThreadPoolExecutor(9) as senders:
        blocking.execute("LOCK TABLE live.events")
        bodies = [EVENT | {"event_id": f"e{n % 8}", "item_id": f"P{n}"} for n in range(2, 10)]
        sent = [senders.submit(client.post, "/events", json=bodies[0])]
        eventually(lambda: log._busy_since is not None)  # alone in its commit
        sent += [senders.submit(client.post, "/events", json=body) for body in bodies[1:]]
        eventually(lambda: log.waiting == 7)
        blocking.commit()
        assert [one.result().status_code for one in sent] == [202] * 8
    transactions = {xid for (xid,) in stored(settings, "xmin::text")}
    assert len(transactions) == 3  # the first event, the one that was under way, and all that waited
