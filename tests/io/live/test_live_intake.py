"""Live events into the raw lake, each once, from a real Postgres."""

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipelines.core.errors import ServiceError
from pipelines.core.lists.live_event import LiveEvent
from pipelines.io.intake import lake
from pipelines.io.live import live_intake, live_log
from pipelines.settings import Settings
from tests.serving.shop import eventually

pytestmark = pytest.mark.services
NOW = datetime(2026, 11, 28, 20, tzinfo=UTC)
AT = datetime(2026, 11, 28, 12, 0, 0, 5, UTC)


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as opened:
        live_log.create(opened)
        yield opened


def arrive(connection: psycopg.Connection, *events: LiveEvent | str, received: datetime = AT) -> None:
    new = live_log.insert(connection, [LiveEvent(e, "u", "i", "view", AT) if isinstance(e, str) else e for e in events])
    connection.execute("UPDATE live.events SET received_at = %s WHERE seq = ANY(%s)", [received, list(new.values())])


def take(settings: Settings, shop: str = "shop") -> list[dict[str, Any]]:
    return live_intake.take(settings, lake.Manifest.read(settings.root / lake.CLICKSTREAM, shop), NOW)


def held(root: Path) -> list[str]:
    """The ids of all events of the lake's live files, sorted."""
    folder = root / lake.CLICKSTREAM
    return sorted(row["event_id"] for e in lake.Manifest.read(folder).active() for row in read(folder / e["path"]))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_take_writes_a_file_for_each_day_of_arrival(connection: psycopg.Connection, settings: Settings) -> None:
    whole = LiveEvent("e1", "ü", 'i,"1"\n', "purchase", AT - timedelta(days=3), "s", "mobile", 3, 9.95, True)
    arrive(connection, whole, received=AT - timedelta(days=1))
    arrive(connection, "e2", "e3")
    first, second = take(settings)
    assert (first["path"], first["source"], first["rows"]) == ("2026/11/27/live.csv", "live.events-2026-11-27.csv", 1)
    assert (second["path"], second["rows"], second["ingested_at"]) == ("2026/11/28/live.csv", 2, NOW.isoformat())
    assert (second["live"]["first"], second["live"]["last"]) == (2, 3)
    (row,) = read(settings.root / lake.CLICKSTREAM / first["path"])
    assert row == {
        "event_id": "e1", "user_id": "ü", "product_id": 'i,"1"\n', "event_type": "purchase",
        "timestamp": "2026-11-25T12:00:00.000005Z", "session_id": "s", "device": "mobile",
        "quantity": "3", "price": "9.95",
    }  # fmt: skip


def test_take_again_takes_what_is_new(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "e1", "e2")
    take(settings)
    assert take(settings) == []
    arrive(connection, "e1", "e3")
    (entry,) = take(settings)
    assert (entry["path"], entry["rows"]) == ("2026/11/28/live-2.csv", 1)
    assert held(settings.root) == ["e1", "e2", "e3"]


def test_take_lets_those_write_whom_it_waits_for(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "e1")
    with ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute(b"SELECT pg_advisory_xact_lock_shared(hashtext('live.events'))")
            taken = pool.submit(take, settings)
            eventually(lambda: waiting(settings, "advisory") == 1)
            arrive(connection, "e2")  # deadlocks where the other one holds the table meanwhile
        taken.result(30)
    assert held(settings.root) == ["e1", "e2"]


def waiting(settings: Settings, kind: str) -> int:
    """How many of the test's database wait for a lock of a kind."""
    with psycopg.connect(settings.postgres_conninfo) as other:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = %s AND datname = current_database()"
        (count,) = other.execute(query, [kind]).fetchone() or (0,)
    return int(count)


def test_take_waits_for_what_is_being_written(connection: psycopg.Connection, settings: Settings) -> None:
    from threading import Thread

    arrive(connection, "e1")
    with psycopg.connect(settings.postgres_conninfo) as slow:
        slow.execute("SELECT 1")
        live_log.insert(slow, [LiveEvent("e2", "u", "i", "view", AT)])  # has a number, but isn't visible
        arrive(connection, "e3")  # has a larger one
        takes = Thread(target=take, args=[settings])
        takes.start()
        takes.join(0.5)
        assert takes.is_alive()
        slow.commit()
        takes.join(20)
    assert sorted(held(settings.root)) == ["e1", "e2", "e3"]


def test_take_that_dies_before_the_manifest_is_made_up_for(
    connection: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(connection, "e0", received=AT - timedelta(days=1))
    arrive(connection, "e1")
    with monkeypatch.context() as patched:
        patched.setattr(lake.Manifest, "write", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(settings)
    arrive(connection, "e2")
    assert [entry["path"] for entry in take(settings)] == ["2026/11/27/live.csv", "2026/11/28/live.csv"]
    assert held(settings.root) == ["e0", "e1", "e2"]


def test_each_shop_gets_its_own_events(connection: psycopg.Connection, settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"root": tmp_path / "other"})
    arrive(connection, "e1")
    take(settings, "one")
    arrive(connection, "e2")  # while one is still what is served
    take(other, "two")
    arrive(connection, "e3")
    take(other, "two")
    take(settings, "one")
    arrive(connection, "e4")
    take(settings, "one")
    assert (held(settings.root), held(other.root)) == (["e1", "e2", "e4"], ["e3"])


def test_shop_for_which_nothing_came_leaves_no_trace(
    connection: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    arrive(connection, "e1")
    take(settings, "one")
    assert take(settings.model_copy(update={"root": tmp_path / "other"}), "two") == []
    take(settings, "one")
    arrive(connection, "e2")
    take(settings, "one")
    assert held(settings.root) == ["e1", "e2"]


def test_lake_that_knows_another_database_takes_all_of_this_one(
    connection: psycopg.Connection, settings: Settings
) -> None:
    arrive(connection, "e1", "e2", "e3")
    take(settings)
    connection.execute("DROP TABLE live.events, live.spans")
    live_log.create(connection)
    arrive(connection, "f1")
    take(settings)
    assert held(settings.root) == ["e1", "e2", "e3", "f1"]


def test_lake_that_begins_anew_takes_all_again(
    connection: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    arrive(connection, "e1")
    take(settings)
    again = settings.model_copy(update={"root": tmp_path / "again"})
    take(again)
    assert held(again.root) == ["e1"]


def test_nothing_to_take_leaves_the_lake_alone(settings: Settings) -> None:
    assert take(settings) == []
    assert take(settings.model_copy(update={"postgres_host": None})) == []
    assert not (settings.root / lake.CLICKSTREAM).exists()


def test_take_without_postgres_says_so(settings: Settings) -> None:
    with pytest.raises(ServiceError, match="Postgres at"):
        take(settings.model_copy(update={"postgres_port": 1}))
    assert not (settings.root / lake.CLICKSTREAM).exists()


def test_layout_is_what_the_mapping_reads() -> None:
    from pipelines.core.lake.mapping import LIVE_COLUMNS
    from pipelines.io.intake.sources import load_mapping

    for name in ("clickstream", "online-retail"):
        live = load_mapping(name, Path()).live()
        assert set(live.required) <= set(LIVE_COLUMNS.values())
        assert live.currency == load_mapping(name, Path()).currency
