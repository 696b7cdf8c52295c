from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from pipelines.core.lake.erasure import user_hash
from pipelines.core.lists.logged import Bounds, Logged
from pipelines.io import live_schema
from pipelines.io.live import recommendation_log
from pipelines.settings import Settings

NOW = datetime.now(UTC)
ALL = Bounds(days=90, rows=1000, payloads=1000)


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        recommendation_log.create(connection)
        connection.commit()
        yield connection


def logged(n: int, *, days_ago: float = 0.0, user: str | None = "U1", payload: bytes | None = b"\x00packed") -> Logged:
    return Logged(
        id=UUID(int=n),
        at=NOW - timedelta(days=days_ago),
        user_id=user,
        model_version=3,
        feature_service="ranker_v1",
        experiment="spring",
        arm="new",
        propensity=0.25,
        strategy="personalized",
        degraded=["the online features can't be read"],
        query={"k": 10, "exclude": ["P1"]},
        items=[{"item_id": "P2", "score": 1.5, "source": "svd", "reason": "“why”"}],
        feature_as_of=NOW - timedelta(hours=3),
        feature_ages={"user_activity_v1": 10800.0, "new_v1": None},
        shadow_of=None,
        payload=payload,
    )


def there(connection: psycopg.Connection) -> tuple[list[int], list[int]]:
    """(recommendations, payloads) that are kept."""
    tables = ("recommendations", "recommendation_inputs")
    first, second = ([i.int for (i,) in connection.execute(f"SELECT id FROM live.{t} ORDER BY 1")] for t in tables)
    return first, second


def test_find_gives_back_what_was_written(connection: psycopg.Connection) -> None:
    rows = [logged(1), logged(2, user=None, payload=None)]
    recommendation_log.write(connection, rows)
    assert [recommendation_log.find(connection, row.id) for row in rows] == rows
    assert recommendation_log.find(connection, UUID(int=9)) is None


def test_find_before_anything_was_logged_finds_nothing(settings: Settings) -> None:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        assert recommendation_log.find(connection, UUID(int=1)) is None


def test_write_again_adds_what_is_missing_only(connection: psycopg.Connection) -> None:
    recommendation_log.write(connection, [logged(1)])
    recommendation_log.write(connection, [logged(1), logged(2)])
    assert there(connection) == ([1, 2], [1, 2])


def test_trim_deletes_what_is_too_old(connection: psycopg.Connection) -> None:
    recommendation_log.write(connection, [logged(1, days_ago=8), logged(2, days_ago=6)])
    assert recommendation_log.trim(connection, Bounds(days=7, rows=1000, payloads=1000)) == 1
    assert there(connection) == ([2], [2])


def test_trim_keeps_fewer_payloads_than_recommendations(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendation_log, "DELETED_AT_ONCE", 2)
    recommendation_log.write(connection, [logged(n, days_ago=10 - n) for n in range(10)])
    recommendation_log.trim(connection, Bounds(days=90, rows=6, payloads=3))
    assert there(connection) == ([4, 5, 6, 7, 8, 9], [7, 8, 9])


def test_trim_of_few_rows_deletes_nothing(connection: psycopg.Connection) -> None:
    recommendation_log.write(connection, [logged(1)])
    assert recommendation_log.trim(connection, ALL) == 0
    assert there(connection) == ([1], [1])


def test_trim_is_left_to_the_program_that_is_at_it(connection: psycopg.Connection, settings: Settings) -> None:
    recommendation_log.write(connection, [logged(1, days_ago=100)])
    connection.commit()
    with psycopg.connect(settings.postgres_conninfo) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('trim live.recommendations'))")
        assert recommendation_log.trim(connection, ALL) == 0
        # a server releases the locks of a closed connection only when it comes to it
        other.execute("SELECT pg_advisory_unlock(hashtext('trim live.recommendations'))")
        assert recommendation_log.trim(connection, ALL) == 1


def test_trim_takes_out_what_was_written_of_a_user_after_the_erasure(connection: psycopg.Connection) -> None:
    live_schema.create(connection)
    connection.execute("CREATE TABLE live.erasures (user_hash bytea PRIMARY KEY, erased_at timestamptz NOT NULL)")
    since = (datetime.now(UTC) - NOW) / timedelta(days=1)  # other tests may have taken an hour since
    hour = 1 / 24 - since
    rows = [
        logged(1, user="gone", days_ago=hour),
        logged(2, user="gone", days_ago=-since),
        logged(3, user="here", days_ago=hour),
    ]
    recommendation_log.write(connection, rows)
    erased = datetime.now(UTC) - timedelta(minutes=5)
    connection.execute("INSERT INTO live.erasures VALUES (%s, %s)", [user_hash("gone"), erased])
    recommendation_log.trim(connection, ALL)
    assert there(connection) == ([2, 3], [2, 3])
