"""Recommendations reach Postgres behind the answers' backs, bounded, and can be computed again."""

import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest

from pipelines.core.errors import InputError, ServiceError
from pipelines.core.features.freshness import Freshness
from pipelines.core.lists import packing, replay
from pipelines.core.lists.arrangement import Arrangement
from pipelines.core.models.bundle import Bundle
from pipelines.io.live import recommendation_log
from pipelines.settings import Settings
from serving import replay_log
from serving.experiments import Assignment
from serving.exposures import Exposure, logged
from serving.filters import Query
from serving.online import OnlineStore
from serving.recommender import Recommendation, Recommender
from serving.replay_log import ReplayLog
from serving.rules import RuleBook
from serving.snapshot import Snapshot
from serving.tracing import Trace
from tests.serving.shop import Shelf, eventually


@pytest.fixture
def snapshot(model: Bundle) -> Snapshot:
    return Snapshot.read(7, model, Shelf())


@pytest.fixture
def log(settings: Settings) -> Iterator[ReplayLog]:
    """A log that writes nothing before it is started."""
    log = ReplayLog(settings)
    yield log
    if log._thread.is_alive():
        log.stop()


def decide(snapshot: Snapshot, query: Query) -> Recommendation:
    return Recommender(OnlineStore(), RuleBook(None)).recommend(snapshot, query, Trace("test"))


def record(log: ReplayLog, snapshot: Snapshot, query: Query | None = None) -> tuple[UUID, Recommendation]:
    query = query or Query("U4", 3)
    decided, new = decide(snapshot, query), uuid4()
    log.record(str(new), snapshot, query, decided, Assignment(snapshot, "spring", "new", 0.25), time.time())
    return new, decided


def written(settings: Settings) -> list[UUID]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        return [i for (i,) in connection.execute("SELECT id FROM live.recommendations ORDER BY at").fetchall()]


def test_record_is_written_as_it_was_decided(log: ReplayLog, settings: Settings, snapshot: Snapshot) -> None:
    log.start()
    ended = datetime.now(UTC) - timedelta(hours=2)
    snapshot = replace(snapshot, views=[Freshness("user_activity_v1", timedelta(hours=36), ended)])
    new, decided = record(log, snapshot, Query("U4", 3, exclude=["P1", "P3"], max_price=80.0))
    eventually(lambda: log.written == 1)
    found = log.find(new)
    assert found is not None
    assert (found.user_id, found.model_version, found.feature_service) == ("U4", 7, "ranker_v1")
    assert (found.experiment, found.arm, found.propensity) == ("spring", "new", 0.25)
    assert found.query == {"k": 3, "exclude": ["P1", "P3"], "max_price": 80.0}
    assert [item["item_id"] for item in found.items] == [f"P{item.item_idx}" for item in decided.items]
    assert [item["score"] for item in found.items] == [item.score for item in decided.items]
    assert found.feature_as_of == snapshot.as_of
    assert found.feature_ages == {"user_activity_v1": pytest.approx(7200, abs=60)}
    arrays, names = packing.unpack(found.payload or b"")
    assert np.array_equal(arrays["inputs"], decided.evidence.inputs, equal_nan=True)
    assert names["features"] == list(snapshot.bundle.manifest["features"])
    assert arrays["item_id"].tolist() == [f"P{n}" for n in decided.evidence.candidates.item_idx]


@pytest.mark.parametrize(
    "query",
    [
        Query("U4", 4),
        Query("nobody", 4, categories=["odd"]),
        Query("U4", 4, diversity=0.7, in_stock=False),
        Query("U4", 4, max_per_category=2),
        Query(None, 4, recent_items=["P2", "P4"]),
    ],
)
def test_list_computed_again_from_the_log_is_the_same(log: ReplayLog, snapshot: Snapshot, query: Query) -> None:
    new, decided = record(log, snapshot, query)
    found = log.find(new)
    assert found is not None
    arrays, more = packing.unpack(found.payload or b"")
    item_idx, scores = replay.again(snapshot.bundle, arrays, Arrangement(**more["how"]))
    shown = [(item.item_idx, item.score) for item in decided.items]
    assert len(shown) >= 3
    assert list(zip(item_idx.tolist(), scores.tolist(), strict=True)) == shown


def test_record_that_still_waits_is_found(log: ReplayLog, snapshot: Snapshot) -> None:
    new, _ = record(log, snapshot)
    assert log.waiting == 1
    found = log.find(new)
    assert found is not None
    assert found.id == new


def test_record_costs_a_request_microseconds(log: ReplayLog, snapshot: Snapshot) -> None:
    query = Query("U4", 3)
    decided, assignment = decide(snapshot, query), Assignment(snapshot)
    ids = [str(uuid4()) for _ in range(2_000)]
    began = time.perf_counter()
    for new in ids:
        log.record(new, snapshot, query, decided, assignment, began)
    assert (time.perf_counter() - began) / len(ids) < 50e-6


def test_log_that_is_full_drops_evidence_first_and_then_recommendations_and_counts(
    log: ReplayLog, settings: Settings, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = decide(snapshot, Query("U4", 3))
    monkeypatch.setattr(replay_log, "MOST_WAITING", 3)
    monkeypatch.setattr(replay_log, "MOST_BYTES", decided.evidence.inputs.nbytes * 3 // 2)
    for _ in range(5):
        record(log, snapshot)
    assert (log.waiting, log.thinned, log.dropped) == (3, 2, 2)
    log.start()
    eventually(lambda: log.written == 3)
    with psycopg.connect(settings.postgres_conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM live.recommendation_inputs").fetchone() == (1,)
    record(log, snapshot)
    eventually(lambda: log.written == 4)
    assert (log.thinned, log.dropped) == (2, 2)


def test_log_keeps_no_evidence_where_none_is_wanted(settings: Settings, snapshot: Snapshot) -> None:
    log = ReplayLog(settings.model_copy(update={"replay_rows": 0}))
    new, _ = record(log, snapshot)
    found = log.find(new)
    assert found is not None
    assert (found.payload, log.thinned) == (None, 0)


def test_stop_writes_what_waits(log: ReplayLog, settings: Settings, snapshot: Snapshot) -> None:
    new = [record(log, snapshot)[0] for _ in range(3)]
    log.start()
    log.stop()
    assert set(written(settings)) == set(new)


def test_log_goes_on_when_postgres_is_back(
    settings: Settings, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_log, "RETRY_SECONDS", 0.05)
    log = ReplayLog(settings)
    log.start()
    eventually(lambda: log.error is None and _connections(settings) == 1)
    with psycopg.connect(settings.postgres_conninfo, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {settings.postgres_db} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [settings.postgres_db],
        )
        new, _ = record(log, snapshot)
        eventually(lambda: log.error is not None)
        assert (log.waiting, log.written) == (1, 0)
        connection.execute(f"ALTER DATABASE {settings.postgres_db} ALLOW_CONNECTIONS true")
    eventually(lambda: log.written == 1)
    log.stop()
    assert (written(settings), log.error, log.dropped) == ([new], None, 0)


def _connections(settings: Settings) -> int:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone() or (0,)
        return int(count)


def test_what_postgres_takes_for_no_text_is_logged_all_the_same(log: ReplayLog, snapshot: Snapshot) -> None:
    log.start()
    new, _ = record(log, snapshot, Query("U\0\ud800", 2, exclude=["P\0"]))
    eventually(lambda: log.written == 1)
    found = log.find(new)
    assert found is not None
    assert (found.user_id, found.query["exclude"]) == ("U�?", ["P�"])


def test_batch_that_postgres_refuses_is_dropped_and_the_next_one_written(
    log: ReplayLog, settings: Settings, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_log, "RETRY_SECONDS", 0.05)
    log.start()
    record(log, snapshot)
    eventually(lambda: log.written == 1)
    with psycopg.connect(settings.postgres_conninfo) as connection:
        connection.execute("DROP SCHEMA live CASCADE")
    record(log, snapshot)
    eventually(lambda: log.dropped == 1)
    new, _ = record(log, snapshot)
    eventually(lambda: log.written == 2)
    assert written(settings) == [new]


def test_forget_takes_out_what_waits_of_a_user(log: ReplayLog, settings: Settings, snapshot: Snapshot) -> None:
    record(log, snapshot, Query("U4", 1))
    kept, _ = record(log, snapshot, Query("U5", 1))
    log.forget("U4")
    log.start()
    log.stop()
    assert written(settings) == [kept]


def test_log_trims_itself(
    log: ReplayLog, settings: Settings, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_log, "TRIM_SECONDS", 0.1)
    with psycopg.connect(settings.postgres_conninfo) as connection:
        recommendation_log.create(connection)
    new, decided = record(log, snapshot)
    old = uuid4()
    log.record(str(old), snapshot, Query("U4", 3), decided, Assignment(snapshot), time.time() - 91 * 86_400)
    log.start()
    eventually(lambda: log.written == 2)
    eventually(lambda: written(settings) == [new])


def test_log_without_postgres_takes_nothing_and_says_so(snapshot: Snapshot, settings: Settings) -> None:
    log = ReplayLog(settings.model_copy(update={"postgres_host": None}))
    log.start()
    record(log, snapshot)
    eventually(lambda: log.error is not None and "no Postgres" in log.error)
    assert (log.waiting, log.dropped) == (0, 1)
    log.stop()


def test_find_without_a_server_that_answers_is_a_service_error(settings: Settings) -> None:
    log = ReplayLog(settings.model_copy(update={"postgres_db": "gone"}))
    with pytest.raises(ServiceError):
        log.find(uuid4())


def test_rush_keeps_so_much_evidence_and_then_so_much_a_second(
    log: ReplayLog, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(replay_log.time, "monotonic", lambda: now)
    monkeypatch.setattr(replay_log, "EVIDENCE_AT_ONCE", 3.0)
    monkeypatch.setattr(replay_log, "EVIDENCE_A_SECOND", 2.0)
    log._allowance, log._allowed_at = 3.0, now
    for _ in range(5):
        record(log, snapshot)
    assert (log.thinned, log.dropped) == (2, 0)
    now += 0.5
    for _ in range(2):
        record(log, snapshot)
    assert log.thinned == 3


def test_evidence_that_is_not_kept_is_not_held_either(settings: Settings, snapshot: Snapshot) -> None:
    log = ReplayLog(settings.model_copy(update={"replay_rows": 0}))
    inputs = weakref.ref(record(log, snapshot)[1].evidence.inputs)
    assert log.waiting == 1
    assert inputs() is None


def test_text_that_is_no_unicode_is_refused_as_postgres_refuses_texts(settings: Settings, snapshot: Snapshot) -> None:
    decided = decide(snapshot, Query("U4", 3))
    exposure = Exposure.of(str(uuid4()), snapshot, Query("U4", 3), decided, Assignment(snapshot), time.time())
    with recommendation_log.writing(settings) as writer, pytest.raises(InputError):
        writer.write([replace(logged(exposure), user_id="\ud800")])
