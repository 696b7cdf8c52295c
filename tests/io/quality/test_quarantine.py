"""What is in quarantine comes out counted, shown and editable."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError
from pipelines.io.quality.quarantine import EVENTS, Quarantine, export

A, B = "2026/02/01/clickstream.csv", "2026/02/02/clickstream.csv"
COLUMNS = ["user_id", "line_"]  # the log has a column `line`, whose name is taken
ROWS: list[tuple[Any, ...]] = [
    (A, 2, ["missing user_id"], None, None, None, "7"),
    (A, 5, ["wrong number of fields"], 'a,"b', None, None, None),
    (B, 3, ["missing user_id", "unparsable timestamp"], None, "2026/03/01/repairs.csv:2", "", " é\n"),
    (B, 4, ["unparsable timestamp"], None, None, "=u", "8"),
]


def write(root: Path, rows: list[tuple[Any, ...]]) -> None:
    kinds = [pa.string(), pa.int64(), pa.list_(pa.string()), pa.string(), pa.string(), pa.string(), pa.string()]
    names = ["file", "line", "reasons", "text", "repaired_in", *COLUMNS]
    arrays = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(kinds)]
    (root / EVENTS).parent.mkdir(parents=True)
    pq.write_table(pa.table(arrays, names=names), root / EVENTS)


@pytest.fixture(autouse=True)
def quarantine(tmp_path: Path) -> None:
    write(tmp_path, ROWS)


def test_rows_are_counted_by_reason_and_file(tmp_path: Path) -> None:
    found = Quarantine(tmp_path)
    assert found.total() == (4, 1)
    assert found.by_reason() == [
        (2, 1, "missing user_id"),
        (2, 1, "unparsable timestamp"),
        (1, 0, "wrong number of fields"),
    ]
    assert found.by_file() == [(2, 0, A), (2, 1, B)]


@pytest.mark.parametrize(
    ("reason", "file", "rows"),
    [(None, B, 2), ("missing user_id", None, 2), ("missing user_id", B, 1), ("missing", None, 0)],
)
def test_counts_of_a_reason_and_a_file(tmp_path: Path, reason: str | None, file: str | None, rows: int) -> None:
    assert Quarantine(tmp_path, reason, file).total()[0] == rows


def test_examples_are_open_rows_of_different_reasons(tmp_path: Path) -> None:
    assert [row.place for row in Quarantine(tmp_path).examples(9)] == [(A, 2), (A, 5), (B, 4)]
    assert len(Quarantine(tmp_path).examples(2)) == 2


def test_export_holds_the_rows_as_they_came(tmp_path: Path) -> None:
    assert export(Quarantine(tmp_path), {(A, 2)}, tmp_path / "out.csv") == 3
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["_file", "_line", "_reasons", "_text", "user_id", "line"],
            [A, "5", "wrong number of fields", 'a,"b', "", ""],
            [B, "3", "missing user_id; unparsable timestamp", "", "", " é\n"],
            [B, "4", "unparsable timestamp", "", "=u", "8"],
        ]


def test_quarantine_needs_a_validation(tmp_path: Path) -> None:
    (tmp_path / EVENTS).unlink()
    with pytest.raises(InputError, match="nothing was validated yet"):
        Quarantine(tmp_path)
