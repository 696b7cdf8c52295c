"""Where files go in the lake, and what their manifest says."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.io import files, lake

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("clickstream-2026-01-31.csv", date(2026, 1, 31)),
        ("export_20260131_2.csv.gz", date(2026, 1, 31)),
        ("2026-02-30-then-20260131.csv", date(2026, 1, 31)),
        ("clickstream.csv", None),
        ("order-1202601311.csv", None),
        ("2026-0131.csv", None),
    ],
)
def test_day_in_a_file_name(name: str, day: date | None) -> None:
    assert lake.day_in_name(name) == day


def test_files_of_a_day_are_numbered(tmp_path: Path) -> None:
    manifest = lake.Manifest.read(tmp_path / "raw", "shop")
    for number, name in enumerate(["a-2026-01-31.csv", "b-2026-01-31.csv.gz", "undated.csv"]):
        (tmp_path / name).write_text(f"h\n{number}\n") if not name.endswith("gz") else None
    (tmp_path / "b-2026-01-31.csv.gz").write_bytes(__import__("gzip").compress(b"h\n1\n2"))
    entries = [
        lake.add_file(manifest, tmp_path / name, files.sha256(tmp_path / name), NOW)
        for name in ["a-2026-01-31.csv", "b-2026-01-31.csv.gz", "undated.csv"]
    ]
    assert [(entry["path"], entry["rows"]) for entry in entries] == [
        ("2026/01/31/clickstream.csv", 1),
        ("2026/01/31/clickstream-2.csv.gz", 2),
        ("2026/05/06/clickstream.csv", 1),
    ]
    manifest.write()
    assert lake.Manifest.read(tmp_path / "raw").hashes() == {entry["sha256"] for entry in entries}


def test_file_that_changes_while_it_is_copied_stays_out(tmp_path: Path) -> None:
    manifest = lake.Manifest.read(tmp_path / "raw", "shop")
    (tmp_path / "a.csv").write_text("h\n1\n")
    with pytest.raises(InputError, match="changed while"):
        lake.add_file(manifest, tmp_path / "a.csv", "0" * 64, NOW)
    assert manifest.files == []
    assert not [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]


def test_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"files": []}')
    with pytest.raises(InputError, match=r"manifest.json is damaged"):
        lake.Manifest.read(tmp_path)
