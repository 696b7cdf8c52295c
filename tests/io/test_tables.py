"""Parquet files depend on their rows alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.columns import UTC_US
from pipelines.io import files, tables

SCHEMA = pa.schema([("timestamp", UTC_US), ("n", pa.int64())])
START = datetime(2026, 1, 1, 22, tzinfo=UTC)


def hours(count: int) -> pa.Table:
    return pa.table({"timestamp": [START + timedelta(hours=n) for n in range(count)], "n": range(count)}, SCHEMA)


def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 10)
    rows = hours(25)
    tables.write(tmp_path / "a", [rows], SCHEMA)
    tables.write(tmp_path / "b", [rows.slice(0, 3), rows.slice(3, 20), rows.slice(23)], SCHEMA)
    assert files.sha256(tmp_path / "a") == files.sha256(tmp_path / "b")
    found = pq.ParquetFile(tmp_path / "a").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [10, 10, 5]


def test_rows_go_to_the_folder_of_their_day(tmp_path: Path) -> None:
    rows = hours(27)
    (tmp_path / "events/date=1999-01-01").mkdir(parents=True)
    assert tables.write_by_day(tmp_path / "events", [rows.slice(0, 1), rows.slice(1)], SCHEMA) == 27
    found = {path.parent.name: pq.read_table(path)["n"].to_pylist() for path in tmp_path.rglob("part-0.parquet")}
    assert found == {
        "date=2026-01-01": [0, 1],
        "date=2026-01-02": list(range(2, 26)),
        "date=2026-01-03": [26],
    }
    assert not (tmp_path / "events/date=1999-01-01").exists()


def test_no_rows_make_an_empty_file(tmp_path: Path) -> None:
    assert tables.write(tmp_path / "a", [], SCHEMA) == 0
    assert pq.read_schema(tmp_path / "a") == SCHEMA
