"""Backfills of a small lake: real files, real DVC, the real `ingest`."""

import argparse
from datetime import date
from pathlib import Path

import pytest
import yaml

from pipelines.commands import backfill
from pipelines.context import Context
from pipelines.core.errors import ConfigError, InputError
from pipelines.io import dvc_repo
from pipelines.io.intake import lake
from tests.project import project

HEADER = "user_id,product_id,event_type,timestamp,title\n"
MAPPING = {
    "name": "small",
    "columns": {"user_id": "user_id", "item_id": "product_id"},
    "event_type": {"column": "event_type"},
    "timestamp": {"column": "timestamp"},
    "catalogue": {"from": "log", "title": "title"},
}
STAGES = {
    "ingest": {
        "cmd": "echo ingest >> ran && env -u POSTGRES_HOST python -m pipelines ingest",  # there are no live events
        "always_changed": True,
        "outs": [{"data/raw": {"persist": True}}],
    },
    "count": {
        "cmd": "echo count >> ran && cat data/raw/clickstream/*/*/*/*.csv | grep -vc user_id > rows.txt",
        "deps": ["data/raw"],
        "outs": ["rows.txt"],
    },
}
pytestmark = pytest.mark.slow


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A connected shop with one file a day, 1 to 5 March, that of the 3rd without a needed column."""
    settings = project(tmp_path, STAGES)
    (tmp_path / "log").mkdir()
    for day in range(1, 6):
        row = f"u{day},i1,view,2026-03-0{day}T10:00:00Z,Lamp\n"
        text = "user_id,nonsense\n1,2\n" if day == 3 else HEADER + day * row
        (tmp_path / f"log/clicks-2026-03-0{day}.csv").write_text(text)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(MAPPING))
    (tmp_path / "data").mkdir()
    source = {"shop": "small", "source": "small.yaml", "clickstream": ["log"], "catalogue_url": None}
    (tmp_path / "data/source.yaml").write_text(yaml.safe_dump(source))
    return Context(argparse.Namespace(), settings)


def days(root: Path) -> list[str]:
    return [entry["path"][:10] for entry in lake.Manifest.read(root / lake.CLICKSTREAM).files]


def test_backfill_brings_in_its_range_only_and_runs_once(context: Context) -> None:
    backfill.backfill(context, date(2026, 3, 1), date(2026, 3, 2))
    assert days(context.root) == ["2026/03/01", "2026/03/02"]
    assert (context.root / "rows.txt").read_text() == "3\n"
    assert (context.root / "ran").read_text().split() == ["count"]
    assert not dvc_repo.changed(context.root, "count")
    backfill.backfill(context, date(2026, 3, 1), date(2026, 3, 2))
    assert (context.root / "ran").read_text().split() == ["count"]
    backfill.backfill(context, date(2026, 3, 5), date(2026, 3, 5))
    assert (context.root / "rows.txt").read_text() == "8\n"


def test_backfill_keeps_what_it_brought_in_in_dvcs_cache(context: Context) -> None:
    backfill.backfill(context, date(2026, 3, 1), date(2026, 3, 2))
    locked = yaml.safe_load((context.root / "dvc.lock").read_text())["stages"]
    assert locked["ingest"]["outs"][0]["md5"] == locked["count"]["deps"][0]["md5"]


def test_backfill_lists_a_bad_day_at_the_end_and_does_the_others(context: Context) -> None:
    with pytest.raises(InputError, match=r"(?s)1 of 5 days .*2026-03-03: .*clicks-2026-03-03\.csv"):
        backfill.backfill(context, date(2026, 3, 1), date(2026, 3, 5))
    assert days(context.root) == ["2026/03/01", "2026/03/02", "2026/03/04", "2026/03/05"]
    assert (context.root / "rows.txt").read_text() == "12\n"


def test_backfill_of_a_range_the_wrong_way_round_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError, match="ends before it begins"):
        backfill.backfill(context, date(2026, 3, 2), date(2026, 3, 1))
