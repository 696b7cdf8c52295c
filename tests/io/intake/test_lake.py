"""Where files go in the lake, and what their manifest says."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.io.intake import lake
from pipelines.io.intake.copying import Copied

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def copied(folder: Path, name: str, sha256: str = "0") -> Copied:
    copy = folder / f".{name}.tmp"
    copy.write_text(name)
    return Copied(folder / name, copy, sha256, len(name), 2, 0)


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
    names = ["a-2026-01-31.csv", "b-2026-01-31.csv.gz", "undated.csv", "c-20260131.parquet"]
    entries = [lake.add_file(manifest, copied(tmp_path, name, name), NOW) for name in names]
    assert [entry["path"] for entry in entries] == [
        "2026/01/31/clickstream.csv",
        "2026/01/31/clickstream-2.csv.gz",
        "2026/05/06/clickstream.csv",
        "2026/01/31/clickstream-3.parquet",
    ]
    manifest.write()
    again = lake.Manifest.read(tmp_path / "raw")
    assert again.hashes() == set(names)
    assert lake.add_file(again, copied(tmp_path, "20260131.csv"), NOW)["path"] == "2026/01/31/clickstream-4.csv"


def test_number_of_a_file_is_never_given_twice(tmp_path: Path) -> None:
    manifest = lake.Manifest(tmp_path / "manifest.json", "shop")
    manifest.add({"path": "2026/05/06/clickstream-2.csv"})
    assert manifest.free_path(NOW.date(), "clickstream", ".csv") == "2026/05/06/clickstream-3.csv"


def test_repairs_are_numbered_by_themselves_and_lie_on_the_day_they_arrive(tmp_path: Path) -> None:
    manifest = lake.Manifest.read(tmp_path, "shop")
    lake.add_file(manifest, copied(tmp_path, "log.csv"), NOW)
    entry = lake.add_file(manifest, copied(tmp_path, "fix-2026-01-31.csv"), NOW, stem="repairs", repairs=True)
    assert (entry["path"], entry["repairs"]) == ("2026/05/06/repairs.csv", True)


def test_withdrawn_file_is_held_but_not_active(tmp_path: Path) -> None:
    manifest = lake.Manifest.read(tmp_path, "shop")
    kept = lake.add_file(manifest, copied(tmp_path, "a.csv", "1"), NOW)
    lake.add_file(manifest, copied(tmp_path, "b.csv", "2"), NOW, withdrawn="2026-05-06T07:08:09+00:00")
    assert manifest.active() == [kept]
    assert manifest.hashes() == {"1", "2"}


def test_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"files": []}')
    with pytest.raises(InputError, match=r"manifest.json is damaged"):
        lake.Manifest.read(tmp_path)
