from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError
from pipelines.io.files import write_json
from pipelines.io.preparation import events
from tests.feature_data import event, event_table

AS_OF = datetime(2024, 3, 11, tzinfo=UTC)  # ten days after the start


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten days of a log, with features of it that are published."""
    log = event_table([event("u", "i", "view", 0.5), event("u", "j", "view", 9.5)])
    (tmp_path / "data/processed").mkdir(parents=True)
    pq.write_table(log, tmp_path / events.INTERACTIONS)
    (tmp_path / events.FEATURES / "user_activity_v1" / "date=2024-03-11").mkdir(parents=True)
    write_json(tmp_path / "data/published/receipt.json", receipt())
    return tmp_path


def receipt(as_of: datetime = AS_OF, **changes: Any) -> dict[str, Any]:
    tables = {"user_activity_v1": {"max_event_timestamp": as_of.isoformat(), "rows": 1, "sha256": "0"}}
    return {"as_of": as_of.isoformat(), "feature_services": ["ranker_v1", "ranker_v2"], "tables": tables} | changes


def test_published_is_the_log_before_as_of(root: Path) -> None:
    as_of, log = events.published(root, "ranker_v1")
    assert as_of == AS_OF
    assert log["item_id"].to_pylist() == ["i", "j"]


def test_published_leaves_out_the_day_that_is_not_over(root: Path) -> None:
    pq.write_table(
        event_table([event("u", "i", "view", 0.5), event("u", "k", "view", 10.5)]), root / events.INTERACTIONS
    )
    assert events.published(root, "ranker_v1")[1]["item_id"].to_pylist() == ["i"]


def test_published_leaves_out_bots(root: Path) -> None:
    log = [event("u", "i", "view", 0.5), event("bot", "j", "view", 1) | {"is_bot": True}, event("u", "k", "view", 9.5)]
    pq.write_table(event_table(log), root / events.INTERACTIONS)
    assert events.published(root, "ranker_v1")[1]["item_id"].to_pylist() == ["i", "k"]


def test_published_knows_cancellations_before_as_of_only(root: Path) -> None:
    early, late = AS_OF - timedelta(days=1), AS_OF + timedelta(hours=1)
    bought = [event("u", item, "purchase", 9.5) for item in "ij"]
    cancelled = [row | {"cancelled_at": at} for row, at in zip(bought, (early, late), strict=True)]
    pq.write_table(event_table(cancelled), root / events.INTERACTIONS)
    assert events.published(root, "ranker_v1")[1]["cancelled_at"].to_pylist() == [early, None]


def test_published_of_a_longer_log_says_to_compute_features(root: Path) -> None:
    pq.write_table(
        event_table([event("u", "i", "view", 0.5), event("u", "k", "view", 11.5)]), root / events.INTERACTIONS
    )
    with pytest.raises(InputError, match=r"features end at 2024-03-11.*pipelines features"):
        events.published(root, "ranker_v1")


def test_published_before_newer_features_says_to_publish(root: Path) -> None:
    (root / events.FEATURES / "user_activity_v1" / "date=2024-03-12").mkdir()
    with pytest.raises(InputError, match=r"published up to 2024-03-11.*date=2024-03-12.*pipelines publish"):
        events.published(root, "ranker_v1")


def test_published_of_another_feature_service_fails(root: Path) -> None:
    write_json(root / "data/published/receipt.json", receipt(feature_services=["ranker_v9"]))
    with pytest.raises(InputError, match="ranker_v9"):
        events.published(root, "ranker_v1")


def test_nothing_published_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="python -m pipelines publish"):
        events.published(tmp_path, "ranker_v1")


def test_published_of_a_log_that_begins_later_fails(root: Path) -> None:
    write_json(root / "data/published/receipt.json", receipt(AS_OF - timedelta(days=20)))
    (root / events.FEATURES / "user_activity_v1" / "date=2024-03-11").rename(
        root / events.FEATURES / "user_activity_v1" / "date=2024-02-20"
    )
    with pytest.raises(InputError, match="features end at"):
        events.published(root, "ranker_v1")
