"""Files of feature views and what is true in them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError
from pipelines.core.features.feature_views import VIEWS
from pipelines.io import files
from pipelines.io.features import feature_files
from pipelines.io.features.feature_files import current, manifest

VIEW = "user_activity_v1"
START = datetime(2026, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=300)
Row = tuple[str, int, datetime]  # user, views_all, created


def rows(day: int, *of: Row, view: str = VIEW) -> pa.Table:
    stamp = START + timedelta(days=day)
    named = [{"user_id": u, "views_all": n, "event_timestamp": stamp, "created_timestamp": c} for u, n, c in of]
    return pa.Table.from_pylist(named, VIEWS[view].schema)


def lake(root: Path, parts: dict[str, pa.Table]) -> None:
    folder = root / "data/features"
    entries = {part: feature_files.write(folder, VIEW, part, table, None) for part, table in parts.items()}
    known = {"format": 1, "until": "", "build": "", "days": {}, "files": {VIEW: entries}}
    files.write_json(folder / "manifest.json", known)


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    """Two dates: u and v, then u; u's first row corrected twice, and one of w added."""
    lake(
        tmp_path,
        {
            "date=2026-01-02/part-0.parquet": rows(1, ("u", 1, START), ("v", 1, START)),
            "date=2026-01-02/part-2.parquet": rows(1, ("u", 2, LATER)),
            "date=2026-01-02/part-10.parquet": rows(1, ("u", 3, LATER), ("w", 5, LATER)),
            "date=2026-01-03/part-0.parquet": rows(2, ("u", 4, START)),
        },
    )
    return tmp_path


def values(table: pa.Table) -> list[Any]:
    return list(zip(table["user_id"].to_pylist(), table["views_all"].to_pylist(), strict=True))


def test_current_is_the_newest_row_of_each_key_and_stamp(corrected: Path) -> None:
    assert values(current(corrected, VIEW)) == [("u", 3), ("v", 1), ("w", 5), ("u", 4)]
    assert current(corrected, VIEW).schema.equals(VIEWS[VIEW].schema)


def test_current_reads_what_is_asked_for(corrected: Path) -> None:
    found = current(corrected, VIEW, ["views_all"], {"user_id": ["w", "u", "nobody"]})
    assert found.column_names == ["user_id", "event_timestamp", "created_timestamp", "views_all"]
    assert values(found) == [("u", 3), ("w", 5), ("u", 4)]


def test_current_of_a_view_without_files_has_no_rows(tmp_path: Path) -> None:
    lake(tmp_path, {})
    assert current(tmp_path, VIEW).equals(VIEWS[VIEW].schema.empty_table())


def test_current_does_not_see_what_the_manifest_does_not_know(corrected: Path) -> None:
    feature_files.write(
        corrected / "data/features", VIEW, "date=2026-01-03/part-1.parquet", rows(2, ("u", 9, LATER)), LATER
    )
    assert values(current(corrected, VIEW))[-1] == ("u", 4)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_manifest_that_cannot_be_read_says_what_to_run(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        files.write_text(tmp_path / "data/features/manifest.json", text)
    with pytest.raises(InputError, match=r"manifest\.json.*run `python -m pipelines features`"):
        manifest(tmp_path)


def test_keys_written_as_dictionaries_are_plain_strings(tmp_path: Path) -> None:
    table = rows(1, ("u", 1, START), ("v", 1, START))
    coded = table.set_column(0, "user_id", table["user_id"].dictionary_encode())
    entry = feature_files.write(tmp_path, VIEW, "date=2026-01-02/part-0.parquet", coded, LATER)
    path = tmp_path / VIEW / "date=2026-01-02/part-0.parquet"
    assert pq.ParquetFile(path).read().equals(table)
    assert entry == {"rows": 2, "sha256": files.sha256(path), "created": LATER.isoformat()}


def test_files_of_a_killed_build_go_and_missing_ones_are_told(corrected: Path) -> None:
    folder = corrected / "data/features"
    known = manifest(corrected)["files"]
    stray = folder / VIEW / "date=2026-01-04/part-0.parquet"
    stray.parent.mkdir()
    stray.write_bytes(b"")
    feature_files.remove_unknown(folder, known)
    assert not stray.exists()
    assert feature_files.missing(folder, known) == []
    gone = folder / VIEW / "date=2026-01-03/part-0.parquet"
    gone.unlink()
    assert feature_files.missing(folder, known) == [gone]
