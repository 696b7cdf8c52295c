"""Shops whose events come by their log, by POST /events, or by both: ingest and validate for real."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pipelines.context import Context
from pipelines.core.errors import DataQualityError
from pipelines.core.lists.live_event import LiveEvent
from pipelines.io import files
from pipelines.io.features import publications
from pipelines.io.live import live_log
from pipelines.settings import Settings
from pipelines.stages import ingest, validate

pytestmark = pytest.mark.services

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def context(settings: Settings, context: Context, connect: Callable[..., None]) -> Context:
    """A shop with a log in ``log/``, and a database of its own."""
    connect("online-retail", Path("log"))
    (context.root / "log").mkdir()
    return Context(context.args, settings.model_copy(update={"root": context.root}))


def logged(context: Context, back: int, rows: int) -> None:
    """The log's file of the day ``back`` days ago."""
    at = NOON - timedelta(days=back)
    lines = [f"{back}-{n},1000{n % 10},Lamp,1,{at:%Y-%m-%d %H:%M}:{n % 60:02d},9.5,{n}\n" for n in range(rows)]
    (context.root / f"log/{at:%Y-%m-%d}.csv").write_text(HEADER + "".join(lines))


def took(context: Context, back: int, rows: int) -> None:
    """What the service took on that day."""
    at = NOON - timedelta(days=back)
    events = [
        LiveEvent(f"live-{back}-{n}", f"{n}", f"1000{n % 10}", "view", at + timedelta(seconds=n)) for n in range(rows)
    ]
    with psycopg.connect(context.settings.postgres_conninfo, autocommit=True) as connection:
        live_log.create(connection)
        live_log.insert(connection, events)


def judged(context: Context) -> tuple[str, int]:
    """Run both stages; the day whose volume was judged, and its events."""
    ingest.run(context)
    validate.run(context)
    results = files.read_json(context.root / validate.REPORT / "expectations.json")
    (details,) = [r["result"]["details"] for r in results if r["kwargs"].get("column") == "volume"]
    return details["day"], details["events"]


def ago(back: int) -> str:
    return f"{NOON - timedelta(days=back):%Y-%m-%d}"


def test_a_few_live_events_do_not_stop_a_shop_with_a_log(context: Context) -> None:
    for back in range(2, 10):
        logged(context, back, 40)
    took(context, 1, 2)
    assert judged(context) == (ago(2), 40)
    report = (context.root / "data/reports/data_quality_report.html").read_text()
    assert f"Not judged yet, for the log has no or few rows of it: {ago(1)} (2)." in report
    logged(context, 1, 40)
    assert judged(context) == (ago(1), 42)


def test_shop_whose_log_stopped_lives_on_live_events(context: Context) -> None:
    for back in range(5, 10):
        logged(context, back, 40)
    for back in range(1, 5):
        took(context, back, 3)  # its visitors without the robots that the log had, say
    assert judged(context) == (ago(1), 3)


def test_a_fall_of_live_events_is_found(context: Context) -> None:
    for back in range(5, 10):
        logged(context, back, 40)
    for back in range(2, 5):
        took(context, back, 40)
    took(context, 1, 3)
    with pytest.raises(DataQualityError, match=r"times the events .* but found 0.075"):
        judged(context)


def test_a_fall_of_the_log_is_found(context: Context) -> None:
    for back in range(2, 10):
        logged(context, back, 40)
    logged(context, 1, 2)
    with pytest.raises(DataQualityError, match=r"times the events .* but found 0.05"):
        judged(context)


def test_live_events_count_beside_the_log(context: Context) -> None:
    for back in range(2, 10):
        logged(context, back, 40)
        took(context, back, 40)
    logged(context, 1, 30)
    took(context, 1, 10)
    assert judged(context) == (ago(1), 40)


def test_ingest_lets_go_of_events_once_the_lake_has_them(context: Context) -> None:
    logged(context, 1, 1)
    took(context, 91, 2)
    took(context, 89, 1)
    with psycopg.connect(context.settings.postgres_conninfo, autocommit=True) as connection:
        publications.create(connection)
        publications.note(connection, 1, NOON, [], [])
        connection.execute("UPDATE live.events SET received_at = ts")
        ingest.run(context)
        assert connection.execute("SELECT event_id FROM live.events").fetchall() == [("live-89-0",)]
    manifest = files.read_json(context.root / "data/raw/clickstream/manifest.json")
    assert sum(entry["rows"] for entry in manifest["files"] if "live" in entry) == 3
