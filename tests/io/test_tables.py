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


def test_no_rows_make_an_empty_file(tmp_path: Path) -> None:
    assert tables.write(tmp_path / "a", [], SCHEMA) == 0
    assert pq.read_schema(tmp_path / "a") == SCHEMA
