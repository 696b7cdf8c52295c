from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from pipelines.core.errors import ServiceError
from pipelines.core.lake.erasure import user_hash
from pipelines.core.lists.live_event import LiveEvent
from pipelines.io import files, postgres
from pipelines.io.live import erasure, live_log
from pipelines.settings import Settings


def recorded(settings: Settings, *users: str) -> None:
    for user in users:
        with postgres.connect(settings) as connection:
            erasure.record(connection, user)


def test_lake_learns_of_each_erasure_once(settings: Settings) -> None:
    assert erasure.into_lake(settings) == 0
    recorded(settings, "a", "b")
    assert erasure.into_lake(settings) == 2
    before = files.sha256(settings.root / erasure.LAKE)
    assert erasure.into_lake(settings) == 0
    assert files.sha256(settings.root / erasure.LAKE) == before
    known = erasure.in_lake(settings.root)
    assert (known.until, set(known.erased.at)) == (2, {user_hash("a"), user_hash("b")})


def test_lake_has_no_ids(settings: Settings) -> None:
    recorded(settings, "somebody")
    erasure.into_lake(settings)
    assert "somebody" not in (settings.root / erasure.LAKE).read_text()


def test_lake_never_forgets_what_another_database_knew(settings: Settings) -> None:
    recorded(settings, "a")
    erasure.into_lake(settings)
    with postgres.connect(settings) as connection:
        connection.execute("TRUNCATE live.erasures")
    recorded(settings, "b")
    assert erasure.into_lake(settings) == 1
    assert set(erasure.in_lake(settings.root).erased.at) == {user_hash("a"), user_hash("b")}


def test_erasing_again_moves_the_time_and_waits_to_be_applied_again(settings: Settings) -> None:
    recorded(settings, "a", "b")
    with postgres.connect(settings) as connection:
        erasure.applied(connection, 2)
        assert erasure.pending(connection) == []
        assert connection.execute("SELECT count(user_id) FROM live.erasures").fetchone() == (0,)
        first = erasure.erased_at(connection)
        erasure.record(connection, "a")
        assert erasure.pending(connection) == ["a"]
        assert erasure.erased_at(connection)[user_hash("a")] > first[user_hash("a")]
        erasure.applied(connection, 2)
        assert erasure.pending(connection) == ["a"]


def test_erasure_waits_for_an_event_that_is_being_taken(settings: Settings) -> None:
    writer, taken = live_log.Writer(settings), []

    def refused(new: Mapping[str, int]) -> None:
        with postgres.connect(settings) as erasing, pytest.raises(psycopg.errors.LockNotAvailable):
            erasing.execute("SET lock_timeout = '100ms'")
            erasure.record(erasing, "a")
        taken.extend(new)

    writer.insert([LiveEvent("e1", "a", "i1", "view", datetime.now(UTC))], refused)
    assert taken == ["e1"]
    recorded(settings, "a")
    writer.close()


def test_no_postgres_leaves_the_lake_as_it_is(tmp_path: Path) -> None:
    assert erasure.into_lake(Settings.load(tmp_path, {})) == 0
    assert not (tmp_path / erasure.LAKE).exists()


def test_postgres_that_does_not_answer_is_told(settings: Settings) -> None:
    gone = settings.model_copy(update={"postgres_host": "127.0.0.1", "postgres_port": 1})
    with pytest.raises(ServiceError, match="Postgres"):
        erasure.into_lake(gone)
