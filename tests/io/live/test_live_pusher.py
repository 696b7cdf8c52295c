"""What is acknowledged gets online, on real servers: new events, and all again where what they rest on is another."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest
import redis

from feature_repo.stores import sessions
from pipelines.context import Context
from pipelines.core.lists.live_event import LiveEvent
from pipelines.io import postgres
from pipelines.io.features import audit_stores, feast_store
from pipelines.io.live import erasure, live_log, live_owner, live_pusher, live_rows, live_spans, user_data
from pipelines.io.live.live_pusher import Pusher
from pipelines.params import Params
from pipelines.settings import Settings
from tests.conftest import CHECKOUT, MODULES, own_databases
from tests.feature_data import day, event, product
from tests.lake_data import built
from tests.serving.shop import eventually

pytestmark = [pytest.mark.slow, pytest.mark.services]

AS_OF = 3
ITEMS = [product("i1", 0), product("i2", 0)]


@pytest.fixture(scope="module")
def shop(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A shop published up to AS_OF, for all tests of this module; each has users of its own."""
    with own_databases(servers, tmp_path_factory.mktemp("pusher"), MODULES) as settings:
        yield built(settings, [event("u1", "i1", "view", AS_OF - 0.5)], products=ITEMS)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_pusher, "LOOK_S", 0.1)
    monkeypatch.setattr(live_pusher, "PAUSES_S", (0.05, 0.2))


@contextmanager
def pushing(settings: Settings) -> Iterator[Pusher]:
    stopping = threading.Event()
    pusher = Pusher(settings, Params.load(CHECKOUT / "params.yaml").prepare)
    thread = threading.Thread(target=pusher.run, args=[stopping])
    thread.start()
    try:
        yield pusher
    finally:
        stopping.set()
        thread.join(30)
        assert not thread.is_alive()


LATER = day(AS_OF + 0.5)


def live(event_id: str, user_id: str, item_id: str = "i1", at: datetime = LATER) -> LiveEvent:
    return LiveEvent(event_id, user_id, item_id, "view", at)


def arrive(settings: Settings, *events: LiveEvent) -> None:
    writer = live_log.Writer(settings)
    writer.insert(events, lambda _: None)
    writer.close()


def execute(settings: Settings, query: str) -> None:
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as connection:
        connection.execute(query.encode())


def unpushed(settings: Settings) -> int:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        (count,) = connection.execute("SELECT count(*) FROM live.events WHERE NOT pushed").fetchone() or (0,)
    return int(count)


def session(settings: Settings, user_id: str) -> list[str]:
    with redis.Redis.from_url(settings.redis) as client:
        return sessions.unpack(client.zrevrange(sessions.key("recomart", user_id), 0, -1)).item_ids


def views(settings: Settings, user_id: str, view: str = "user_activity_v1") -> int | None:
    """What Feast says of how often the user looked at something."""
    store = feast_store.open_store(settings)
    ((_, row),) = audit_stores.online(store, view, [(user_id,)])
    return None if row is None else row["views_all"]


def erase(settings: Settings, user_id: str) -> None:
    """As the service does."""
    with postgres.connect(settings) as connection:
        erasure.record(connection, user_id)
        user_data.remove(connection, feast_store.open_store(settings), user_id)


def forget(settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis) as client:
        client.flushdb()


def test_new_events_get_into_session_and_features(shop: Context) -> None:
    at = shop.settings
    with pushing(at):
        arrive(at, live("a1", "a"), live("a2", "a", "i2", day(AS_OF + 0.6)), live("b1", "b", "unlisted"))
        eventually(lambda: unpushed(at) == 0)
        assert (session(at, "a"), session(at, "b")) == (["i2", "i1"], ["unlisted"])
        assert [views(at, user, f"user_activity_v{n}") for user in "ab" for n in (1, 2)] == [2, 2, 1, 1]
        arrive(at, live("a3", "a", "i1", day(AS_OF + 0.7)))
        eventually(lambda: unpushed(at) == 0)
        assert (session(at, "a"), views(at, "a")) == (["i1", "i2", "i1"], 3)


def test_sessions_of_all_that_waits_come_before_features(shop: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    go, push = threading.Event(), live_pusher.LiveFeatures.push
    monkeypatch.setattr(live_pusher, "MOST", 2)
    monkeypatch.setattr(live_pusher.LiveFeatures, "push", lambda *args: go.wait(60) and push(*args))
    users = [f"ahead{n}" for n in range(5)]
    arrive(shop.settings, *(live(user, user) for user in users))
    with pushing(shop.settings):
        try:
            eventually(lambda: all(session(shop.settings, user) for user in users))
            assert unpushed(shop.settings) == len(users)
        finally:
            go.set()
        eventually(lambda: unpushed(shop.settings) == 0)
    assert [views(shop.settings, user) for user in users] == [1] * len(users)


def test_events_from_before_the_batch_are_in_the_session_only(shop: Context) -> None:
    with pushing(shop.settings):
        arrive(shop.settings, live("c1", "c", at=day(AS_OF - 1)))
        eventually(lambda: unpushed(shop.settings) == 0)
    assert (session(shop.settings, "c"), views(shop.settings, "c")) == (["i1"], None)


def test_what_redis_lost_comes_again(shop: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    at = shop.settings
    monkeypatch.setattr(live_pusher, "SESSIONS", datetime.now(day(0).tzinfo) - day(0))
    monkeypatch.setattr(live_pusher, "MOST", 2)
    monkeypatch.setattr(live_pusher, "MOST_USERS", 2)
    users = [f"d{n}" for n in range(5)]
    with pushing(at):
        arrive(at, *(live(f"d{n}", user) for n, user in enumerate(users)))
        eventually(lambda: unpushed(at) == 0)
        forget(at)
        eventually(lambda: all(views(at, user) == 1 for user in users))
        assert all(session(at, user) == ["i1"] for user in users)
    forget(at)
    with pushing(at):
        eventually(lambda: all(views(at, user) == 1 for user in users))


def test_another_run_of_redis_gets_everything(shop: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    at = shop.settings
    with pushing(at) as pusher:
        arrive(at, live("e1", "e"))
        eventually(lambda: unpushed(at) == 0 and views(at, "e") == 1)
        with redis.Redis.from_url(at.redis) as client:  # what was written in the last second is lost, the marker isn't
            client.delete(*client.scan_iter(b"*\x01\x00\x00\x00e" + b"recomart"))
        assert views(at, "e") is None
        monkeypatch.setattr(pusher._sessions, "server", lambda: "another run")
        eventually(lambda: views(at, "e") == 1)


def test_new_publication_brings_all_that_came_since(shop: Context) -> None:
    at = shop.settings
    with pushing(at):
        arrive(at, live("f1", "f"))
        eventually(lambda: unpushed(at) == 0 and views(at, "f") == 1)
        with redis.Redis.from_url(at.redis) as client:
            client.delete(*client.scan_iter(b"*\x01\x00\x00\x00f" + b"recomart"))
        execute(at, "INSERT INTO features.publications SELECT load + 1, as_of, tables, '{}' FROM features.publications")
        eventually(lambda: views(at, "f") == 1)


@pytest.mark.parametrize(("name", "read"), [("n", "unpushed"), ("o", "of_users")])
def test_user_erased_while_events_are_pushed_does_not_come_back(
    shop: Context, monkeypatch: pytest.MonkeyPatch, name: str, read: str
) -> None:
    """``read``: what the pusher has read when the erasure begins."""
    at, has_read, go_on = shop.settings, threading.Event(), threading.Event()
    reading = getattr(live_rows, read)

    def read_and_wait(*args: Any) -> Any:
        found = reading(*args)
        if len(found):
            has_read.set()
            assert go_on.wait(30)
        return found

    monkeypatch.setattr(live_rows, read, read_and_wait)
    with pushing(at):
        arrive(at, live(f"{name}1", name))
        assert has_read.wait(30)
        erasing = threading.Thread(target=erase, args=[at, name])
        erasing.start()
        erasing.join(3)
        go_on.set()
        erasing.join(30)
        arrive(at, live(f"{name}-other", "other"))
        eventually(lambda: unpushed(at) == 0)
    assert (session(at, name), views(at, name)) == ([], None)


def test_user_erased_while_all_comes_again_does_not_come_back(shop: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    at, has_read, go_on = shop.settings, threading.Event(), threading.Event()
    monkeypatch.setattr(live_pusher, "SESSIONS", datetime.now(day(0).tzinfo) - day(0))
    since = live_rows.since

    def read_and_wait(*args: Any) -> Any:
        found = since(*args)
        has_read.set()
        assert go_on.wait(30)
        return found

    with pushing(at):
        arrive(at, live("p1", "p"))
        eventually(lambda: unpushed(at) == 0)
    forget(at)
    monkeypatch.setattr(live_rows, "since", read_and_wait)

    with pushing(at) as pusher:
        assert has_read.wait(30)
        erasing = threading.Thread(target=erase, args=[at, "p"])
        erasing.start()
        erasing.join(3)
        go_on.set()
        erasing.join(30)
        eventually(lambda: pusher._kept() is not None)
    assert (session(at, "p"), views(at, "p")) == ([], None)


def test_before_anything_is_published_sessions_are_written(settings: Settings) -> None:
    (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    with pushing(settings):
        arrive(settings, live("g1", "g"))
        eventually(lambda: unpushed(settings) == 0)
    assert session(settings, "g") == ["i1"]


def test_sessions_of_another_shop_go(settings: Settings) -> None:
    (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    with pushing(settings):
        arrive(settings, live("h1", "h"))
        with psycopg.connect(settings.postgres_conninfo, autocommit=True) as connection:
            eventually(lambda: unpushed(settings) == 0)
            live_spans.of_shop(connection, "one")
            assert session(settings, "h") == ["i1"]
            live_spans.of_shop(connection, "two")
        eventually(lambda: session(settings, "h") == [])


def test_second_pusher_stands_by_and_takes_over(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipelines")
    (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as first:
        assert live_owner.acquired(first)
        assert live_owner.is_there(settings)
        with pushing(settings):
            arrive(settings, live("k1", "k"))
            eventually(lambda: "standing by" in caplog.text)
            assert unpushed(settings) == 1
            first.close()
            eventually(lambda: unpushed(settings) == 0)
            assert live_owner.is_there(settings)
    assert not live_owner.is_there(settings)


def test_pusher_goes_on_after_its_connections_were_cut(shop: Context, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipelines")
    at = shop.settings
    with pushing(at):
        arrive(at, live("l1", "l"))
        eventually(lambda: unpushed(at) == 0)
        execute(at, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()")  # fmt: skip
        arrive(at, live("l2", "l"))
        eventually(lambda: unpushed(at) == 0)
        eventually(lambda: views(at, "l") == 2)


def test_without_redis_events_wait(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipelines")
    (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    with pushing(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})):
        arrive(settings, live("m1", "m"))
        eventually(lambda: "waiting: Redis" in caplog.text)
    assert unpushed(settings) == 1
    assert caplog.text.count("waiting: Redis") == 1
    with pushing(settings):
        eventually(lambda: unpushed(settings) == 0)
    assert session(settings, "m") == ["i1"]
