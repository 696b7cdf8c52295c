"""The features stage: files by date, and what it says."""

import logging
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.features.feature_views import VIEWS
from pipelines.io import files
from pipelines.io.features import feature_files
from pipelines.settings import Settings
from pipelines.stages import features
from tests.feature_data import START, event, prepared, product, random_events

pytestmark = pytest.mark.slow  # whole stages

ITEMS = [product(f"i{n}", 0) for n in range(4)]


@pytest.fixture
def root(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path, mlflow_tracking_uri="")


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "data/features").rglob("*.parquet"))}


def test_features_built_whole_are_the_same_bytes_twice(root: Settings) -> None:
    log = [e | {"category": "c"} for e in random_events(seed=4, n=200)]
    context = prepared(root, log, ITEMS)
    features.run(context)
    first = contents(root.root)
    manifest = files.read_json(root.root / "data/features/manifest.json")
    files.remove(root.root / "data/features")
    features.run(context)
    assert contents(root.root) == first
    assert files.read_json(root.root / "data/features/manifest.json") == manifest
    assert {name.split("/")[2] for name in first} == {*VIEWS, "recent_days.parquet"}


def test_features_lie_in_the_folder_of_their_date_in_order(root: Settings) -> None:
    features.run(prepared(root, random_events(seed=4, n=200), ITEMS))
    found = sorted((root.root / "data/features/user_item_activity_v1").glob("date=*/part-0.parquet"))
    for path in found:
        rows = pq.ParquetFile(path).read().to_pylist()
        assert {f"date={r['event_timestamp'].date()}" for r in rows} == {path.parent.name}
        keys = [(r["event_timestamp"], r["user_id"], r["item_id"]) for r in rows]
        assert keys == sorted(keys)
    assert len(found) > 40


def test_features_of_a_log_without_categories_have_a_folder_without_files(root: Settings) -> None:
    features.run(prepared(root, random_events(seed=4, n=20), ITEMS))
    folder = root.root / "data/features/user_category_activity_v1"
    assert folder.is_dir()
    assert not list(folder.rglob("*.parquet"))


def test_features_are_the_same_rows_in_small_row_groups(root: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    context = prepared(root, random_events(seed=4, n=200), ITEMS)
    features.run(context)
    folder = root.root / "data/features/item_activity_v1"
    whole = {p.parent.name: pq.ParquetFile(p).read() for p in folder.glob("date=*/part-0.parquet")}
    files.remove(root.root / "data/features")
    monkeypatch.setattr(feature_files, "ROW_GROUP", 2)
    features.run(context)
    cut = {p.parent.name: pq.ParquetFile(p) for p in folder.glob("date=*/part-0.parquet")}
    assert {name: file.read() for name, file in cut.items()} == whole
    assert max(file.num_row_groups for file in cut.values()) == 2


def test_features_leave_out_bots(root: Settings) -> None:
    log = random_events(seed=4, n=200)
    features.run(prepared(root, log, ITEMS))
    without = contents(root.root)
    robot = [event("robot", "i0", "view", n / 20) | {"is_bot": True, "event_id": f"r{n:05}"} for n in range(900)]
    context = prepared(root, [*log, *robot], ITEMS)
    features.run(context)
    assert contents(root.root) == without
    files.remove(root.root / "data/features")
    features.run(context)
    assert contents(root.root) == without


def test_features_say_what_they_did(root: Settings, caplog: pytest.LogCaptureFixture) -> None:
    log = random_events(seed=4, n=100)
    caplog.set_level(logging.INFO)
    features.run(prepared(root, [e for e in log if e["timestamp"] < START + timedelta(days=40)], ITEMS))
    features.run(prepared(root, [*log, event("u0", "i0", "view", 3.5)], ITEMS))
    features.run(Context(Namespace(), root))
    whole, more, nothing = (record.getMessage() for record in caplog.records)
    assert "rows up to 2024-04-10: " in whole
    assert "rows up to 2024-04-20: 8 new days, 1 changed ones, " in more  # on two of the ten nothing happened
    assert nothing == "nothing changed: features up to 2024-04-20 stay as they are"


def test_features_of_no_events_say_so(root: Settings) -> None:
    with pytest.raises(InputError, match="no events"):
        features.run(prepared(root, [], ITEMS))


def test_features_of_today_only_say_so(root: Settings) -> None:
    today = (datetime.now(UTC) + timedelta(hours=1) - START) / timedelta(days=1)
    with pytest.raises(InputError, match="no complete day"):
        features.run(prepared(root, [event("u", "i0", "view", today)], ITEMS))
    assert not (root.root / "data/features").exists()


def test_features_of_an_empty_folder_say_what_to_run(root: Settings) -> None:
    with pytest.raises(
        InputError, match=r"prepared_interactions\.parquet is missing: run `python -m pipelines prepare`"
    ):
        features.run(Context(Namespace(), root))
