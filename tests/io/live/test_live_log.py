"""Live events in a real Postgres."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import psycopg
import pytest

from pipelines.core.errors import ConfigError, ServiceError
from pipelines.core.lists.live_event import LiveEvent
from pipelines.io.live import live_log
from pipelines.settings import Settings

pytestmark = pytest.mark.services
AT = datetime(2026, 11, 28, 12, 0, 0, 123_456, UTC)


def event(event_id: str, **given: object) -> LiveEvent:
    return LiveEvent(event_id, "u1", "i1", "view", AT)._replace(**given)


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as opened:
        live_log.create(opened)
        yield opened


@pytest.fixture
def writer(settings: Settings) -> Iterator[live_log.Writer]:
    opened = live_log.Writer(settings)
    yield opened
    opened.close()


def rows(settings: Settings, columns: str) -> list[tuple[object, ...]]:
    with psycopg.connect(settings.postgres_conninfo) as opened:
        return opened.execute(f"SELECT {columns} FROM live.events ORDER BY event_id".encode()).fetchall()


def ignored(new: Mapping[str, int]) -> None:
    """Of what is new nothing follows."""


def test_insert_keeps_every_field(connection: psycopg.Connection, settings: Settings) -> None:
    whole = LiveEvent("e1", "ü", 'i,"1"', "purchase", AT, "s1", "mobile", 3, 9.95, True)
    live_log.insert(connection, [whole, event("e2")])
    assert rows(settings, ", ".join(LiveEvent._fields)) == [
        tuple(whole),
        ("e2", "u1", "i1", "view", AT, None, None, 1, None, None),
    ]
    assert rows(settings, "pushed") == [(False,), (False,)]


def test_insert_again_is_no_second_event_and_the_first_one_stays(
    connection: psycopg.Connection, settings: Settings
) -> None:
    assert live_log.insert(connection, [event("e1"), event("e1", item_id="i9"), event("e0")]).keys() == {"e0", "e1"}
    assert live_log.insert(connection, [event("e1", item_id="i2"), event("e2")]).keys() == {"e2"}
    assert rows(settings, "event_id, item_id") == [("e0", "i1"), ("e1", "i1"), ("e2", "i1")]


def test_create_where_others_create_at_the_same_time(settings: Settings) -> None:
    failed: list[BaseException] = []

    def create() -> None:
        try:
            live_log.Writer(settings).insert([event(f"e{threading.get_ident()}")], ignored)
        except ServiceError as error:
            failed.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(rows(settings, "event_id")) == 4


def test_settled_waits_for_numbers_that_are_given_but_not_committed(
    connection: psycopg.Connection, settings: Settings
) -> None:
    live_log.insert(connection, [event("e1")])
    found: list[int] = []
    with psycopg.connect(settings.postgres_conninfo) as slow, psycopg.connect(settings.postgres_conninfo) as asking:
        slow.execute("SELECT 1")
        live_log.insert(slow, [event("e2")])  # within the transaction that is open now
        asks = threading.Thread(target=lambda: found.append(live_log.settled(asking)))
        asks.start()
        asks.join(0.3)
        assert not found
        slow.commit()
        asks.join(5)
    last = max(seq for (seq,) in rows(settings, "seq"))
    assert found == [last]


def test_insert_tells_who_listens(connection: psycopg.Connection, settings: Settings) -> None:
    connection.execute(f"LISTEN {live_log.CHANNEL}".encode())
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as other:
        live_log.insert(other, [event("e1")])
        assert len(list(connection.notifies(timeout=5, stop_after=1))) == 1
        live_log.insert(other, [event("e1")])  # nothing new
        assert not list(connection.notifies(timeout=0.2, stop_after=1))


def test_writer_goes_on_after_its_connection_was_cut(writer: live_log.Writer, settings: Settings) -> None:
    writer.insert([event("e1")], ignored)
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'recomart-events'"
        )
    assert writer.insert([event("e2")], ignored).keys() == {"e2"}


def test_who_holds_writers_off_waits_for_what_follows_an_insert(
    connection: psycopg.Connection, writer: live_log.Writer, settings: Settings
) -> None:
    following, done = threading.Event(), threading.Event()

    def follow(new: Mapping[str, int]) -> None:
        following.set()
        assert done.wait(30)

    inserting = threading.Thread(target=lambda: writer.insert([event("e1")], follow))
    inserting.start()
    assert following.wait(30)
    connection.execute("SET lock_timeout = '200ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable), connection.transaction():
        live_log.hold_off(connection)
    done.set()
    inserting.join()
    with connection.transaction():
        live_log.hold_off(connection)


def test_writers_wait_where_they_are_held_off(connection: psycopg.Connection, writer: live_log.Writer) -> None:
    inserting = threading.Thread(target=lambda: writer.insert([event("e1")], ignored))
    with connection.transaction():
        live_log.hold_off(connection)
        inserting.start()
        inserting.join(0.3)
        assert inserting.is_alive()
        assert connection.execute("SELECT count(*) FROM live.events").fetchone() == (0,)
    inserting.join()
    assert connection.execute("SELECT count(*) FROM live.events").fetchone() == (1,)


def test_writer_that_failed_holds_nobody_off(connection: psycopg.Connection, writer: live_log.Writer) -> None:
    with pytest.raises(ServiceError):
        writer.insert([event("e1", item_id=None)], ignored)
    with connection.transaction():
        live_log.hold_off(connection)


def test_writer_says_that_postgres_does_not_answer(settings: Settings) -> None:
    away = live_log.Writer(settings.model_copy(update={"postgres_port": 1}))
    with pytest.raises(ServiceError, match="Postgres: "):
        away.insert([event("e1")], ignored)


def test_writer_without_a_server_says_how_to_have_one(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="make up"):
        live_log.Writer(settings.model_copy(update={"postgres_host": None})).insert([event("e1")], ignored)


def test_commits_reach_the_disk(writer: live_log.Writer) -> None:
    found = writer._connected().execute("SELECT current_setting('synchronous_commit'), current_setting('fsync')")
    assert found.fetchone() == ("on", "on")
