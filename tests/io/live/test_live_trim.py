"""Old live events go from a real Postgres, and only those that the lake has and that nobody needs there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pipelines.core.lists.live_event import LiveEvent
from pipelines.io.features import publications
from pipelines.io.intake import lake
from pipelines.io.live import live_intake, live_log, live_spans, live_trim
from pipelines.settings import Settings

pytestmark = pytest.mark.services
NOW = datetime(2026, 11, 28, 3, tzinfo=UTC)
BEFORE = NOW - timedelta(days=90)
OLD = BEFORE - timedelta(hours=1)


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    """A database with something published up to NOW."""
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as opened:
        live_log.create(opened)
        publications.create(opened)
        publications.note(opened, 1, NOW, [], [])
        yield opened


def arrive(connection: psycopg.Connection, *ids: str, at: datetime = OLD, received: datetime | None = None) -> None:
    new = live_log.insert(connection, [LiveEvent(event_id, "u", "i", "view", at) for event_id in ids])
    query = "UPDATE live.events SET received_at = %s WHERE seq = ANY(%s)"
    connection.execute(query, [received or at, list(new.values())])


def manifest(settings: Settings, shop: str = "shop") -> lake.Manifest:
    return lake.Manifest.read(settings.root / lake.CLICKSTREAM, shop)


def take(settings: Settings, shop: str = "shop") -> int:
    return sum(entry["rows"] for entry in live_intake.take(settings, manifest(settings, shop), NOW))


def trim(settings: Settings) -> int:
    return live_trim.trim(settings, manifest(settings), BEFORE)


def there(connection: psycopg.Connection) -> list[str]:
    return [event_id for (event_id,) in connection.execute("SELECT event_id FROM live.events ORDER BY seq").fetchall()]


def test_old_events_of_the_lake_go(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "old-1", "old-2")
    arrive(connection, "young", at=BEFORE)
    take(settings)
    assert trim(settings) == 2
    assert there(connection) == ["young"]
    assert trim(settings) == 0


def test_event_that_the_lake_has_not_stays(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "taken")
    take(settings)
    arrive(connection, "not taken")
    assert trim(settings) == 1
    assert there(connection) == ["not taken"]
    assert take(settings) == 1
    assert trim(settings) == 1


def test_nothing_goes_before_the_manifest_is_written(
    connection: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(connection, "e")
    with monkeypatch.context() as patched:
        patched.setattr(lake.Manifest, "write", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(settings)
    assert trim(settings) == 0
    assert there(connection) == ["e"]


def test_nothing_goes_where_a_file_of_the_lake_is_lost(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "e1")
    take(settings)
    arrive(connection, "e2")
    take(settings)
    path = settings.root / lake.CLICKSTREAM / manifest(settings).files[0]["path"]
    content = path.read_bytes()
    for lost in (path.unlink, lambda: path.write_bytes(content[:-1])):
        lost()
        assert trim(settings) == 0
    path.write_bytes(content)
    assert trim(settings) == 2


@pytest.mark.parametrize(
    ("happened", "received"), [(OLD, NOW), (NOW, OLD)], ids=["sent late", "of a clock that ran ahead"]
)
def test_event_goes_by_both_its_times(
    connection: psycopg.Connection, settings: Settings, happened: datetime, received: datetime
) -> None:
    arrive(connection, "e", at=happened, received=received)
    take(settings)
    assert trim(settings) == 0


def test_event_that_is_not_published_yet_stays(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "published", at=OLD - timedelta(days=2))
    arrive(connection, "since")
    take(settings)
    connection.execute("UPDATE features.publications SET as_of = %s", [OLD - timedelta(days=1)])
    assert trim(settings) == 1
    assert there(connection) == ["since"]
    connection.execute("DELETE FROM features.publications")
    assert trim(settings) == 0


def test_other_shops_and_other_databases_keep_their_own(
    connection: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    arrive(connection, "one")
    take(settings)
    arrive(connection, "one, too")
    live_spans.of_shop(connection, "two")
    arrive(connection, "two")
    assert trim(settings) == 1
    assert there(connection) == ["one, too", "two"]
    assert live_trim.trim(settings, manifest(settings.model_copy(update={"root": tmp_path / "new"})), BEFORE) == 0
    connection.execute("UPDATE live.spans SET id = gen_random_uuid()")  # as if the lake came from elsewhere
    assert trim(settings) == 0


def test_within_the_time_an_event_counts_once(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "e", at=BEFORE)
    take(settings)
    trim(settings)
    assert live_log.insert(connection, [LiveEvent("e", "u", "i", "view", NOW)]) == {}


def test_numbers_go_on_where_nothing_is_left(connection: psycopg.Connection, settings: Settings) -> None:
    arrive(connection, "e1", "e2")
    take(settings)
    assert (trim(settings), there(connection)) == (2, [])
    live_spans.of_shop(connection, "two")
    assert live_spans.first(connection) == 3
    live_spans.of_shop(connection, "shop")
    arrive(connection, "e3")
    assert take(settings) == 1


def test_many_go_some_at_a_time(
    connection: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_trim, "AT_ONCE", 2)
    arrive(connection, *(f"e{n}" for n in range(5)))
    take(settings)
    assert trim(settings) == 5


def test_nothing_to_trim(settings: Settings) -> None:
    assert trim(settings) == 0
    assert trim(settings.model_copy(update={"postgres_host": None})) == 0
