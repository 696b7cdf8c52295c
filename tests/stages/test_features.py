"""The features stage: files by date."""

from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.context import Context
from pipelines.core.errors import InputError
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


def test_features_are_the_same_bytes_twice(root: Settings) -> None:
    context = prepared(root, random_events(seed=4, n=200), ITEMS)
    features.run(context)
    first = contents(root.root)
    features.run(context)
    assert contents(root.root) == first
    assert {name.split("/")[2] for name in first} == {
        "user_activity_v1", "item_activity_v1", "user_item_activity_v1", "item_profile_v1",
    }  # fmt: skip


def test_features_lie_in_the_folder_of_their_date_in_order(root: Settings) -> None:
    features.run(prepared(root, random_events(seed=4, n=200), ITEMS))
    files = sorted((root.root / "data/features/user_item_activity_v1").glob("date=*/part-0.parquet"))
    for path in files:
        rows = pq.ParquetFile(path).read().to_pylist()
        assert {f"date={r['event_timestamp'].date()}" for r in rows} == {path.parent.name}
        keys = [(r["event_timestamp"], r["user_id"], r["item_id"]) for r in rows]
        assert keys == sorted(keys)
    assert len(files) > 40


def test_features_are_the_same_rows_in_small_row_groups(root: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    context = prepared(root, random_events(seed=4, n=200), ITEMS)
    features.run(context)
    folder = root.root / "data/features/item_activity_v1"
    whole = {p.parent.name: pq.ParquetFile(p).read() for p in folder.glob("date=*/part-0.parquet")}
    monkeypatch.setattr(features, "ROW_GROUP", 2)
    features.run(context)
    cut = {p.parent.name: pq.ParquetFile(p) for p in folder.glob("date=*/part-0.parquet")}
    assert {name: file.read() for name, file in cut.items()} == whole
    assert max(file.num_row_groups for file in cut.values()) == 2


def test_features_leave_out_bots(root: Settings) -> None:
    log = random_events(seed=4, n=200)
    features.run(prepared(root, log, ITEMS))
    without = contents(root.root)
    robot = [event("robot", "i0", "view", n / 20) | {"is_bot": True, "event_id": f"r{n:05}"} for n in range(900)]
    features.run(prepared(root, [*log, *robot], ITEMS))
    assert contents(root.root) == without


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
