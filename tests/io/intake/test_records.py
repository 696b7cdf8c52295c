"""No line of a file is lost, and each keeps its number, whatever is in it."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import DataQualityError, InputError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io.intake import csv_records, records
from tests.io.tiny import MAPPING


def rows(path: Path, mapping: SourceMapping = MAPPING) -> list[tuple[Any, ...]]:
    return [
        tuple(row.values()) for block in records.blocks(path, mapping) for row in block().sort_by("line").to_pylist()
    ]


def csv_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "log.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


NASTY = (
    "u,i,t\n"
    "u1,p1,1\n"
    "\n"
    "u2,p2\n"
    'u3,"p,3",3\n'
    "u4,p4,4,5\n"
    'u5,"p5,5\n'  # a quote that never ends
    "u6,p6,6\n"
    'u7,"p\n7",7\n'  # a field with a line break
    ",,\n"
    "u8,p8,8\r\n"
    'u9,5" pipe,9\n'
    "u10,p10,10"
)
EXPECTED = [
    (2, None, "u1", "p1", "1"),
    (3, "", None, None, None),
    (4, "u2,p2", None, None, None),
    (5, None, "u3", "p,3", "3"),
    (6, "u4,p4,4,5", None, None, None),
    (7, 'u5,"p5,5', None, None, None),
    (8, None, "u6", "p6", "6"),
    (9, None, "u7", "p\n7", "7"),
    (11, None, "", "", ""),
    (12, None, "u8", "p8", "8"),
    (13, None, "u9", '5" pipe', "9"),
    (14, None, "u10", "p10", "10"),
]


@pytest.mark.parametrize("block", [16, 40, 1 << 20])
def test_every_line_comes_out_with_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(csv_records, "_BLOCK", block)
    assert rows(csv_file(tmp_path, NASTY)) == EXPECTED


def test_lines_without_quotes_keep_their_numbers(tmp_path: Path) -> None:
    content = "u,i,t\n" + "\n".join("bad" if n % 7 == 0 else f"u{n},p,{n}" for n in range(2, 1000)) + "\n"
    found = rows(csv_file(tmp_path, content))
    assert [row[0] for row in found] == list(range(2, 1000))
    assert all(row[1] == "bad" if row[0] % 7 == 0 else row[2] == f"u{row[0]}" for row in found)


def test_gzip_reads_as_plain(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(NASTY.encode()))
    assert rows(path) == EXPECTED


def test_bytes_that_are_no_text_are_marked(tmp_path: Path) -> None:
    assert rows(csv_file(tmp_path, b"u,i,t\nu\xff,p,1\n")) == [(2, None, "u\ufffd", "p", "1")]


def test_encoding_delimiter_and_byte_order_mark(tmp_path: Path) -> None:
    mapping = SourceMapping.parse(
        MAPPING.model_dump(by_alias=True) | {"format": {"delimiter": ";", "encoding": "cp1252"}}, "x"
    )
    assert rows(csv_file(tmp_path, "u;i;t\nJürgen;p;1\n".encode("cp1252")), mapping) == [(2, None, "Jürgen", "p", "1")]
    assert rows(csv_file(tmp_path, b"\xef\xbb\xbfu,i,t\nx,p,1\n")) == [(2, None, "x", "p", "1")]


def test_parquet_comes_as_text_with_row_numbers(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, 10, tzinfo=UTC)
    table = pa.table(
        {"u": [1, 2], "i": ["a", None], "t": pa.array([moment, None], pa.timestamp("ms", "Europe/Berlin"))}
    )
    pq.write_table(table, tmp_path / "log.parquet")
    assert rows(tmp_path / "log.parquet") == [
        (1, None, "1", "a", "2026-01-01 10:00:00.000Z"),
        (2, None, "2", None, None),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [("u,t\nx,1\n", "log.csv: column 'i' is missing; the header has u, t"), ("", "is missing"), ("u,i,t,U\n", "twice")],
)
def test_header_without_what_the_mapping_needs(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataQualityError, match=message):
        rows(csv_file(tmp_path, content))


@pytest.mark.parametrize("name", ["log.parquet", "log.csv.gz"])
def test_file_that_is_not_what_its_name_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("u,i,t\nx,p,1\n")
    with pytest.raises(InputError, match=name):
        rows(tmp_path / name)


def test_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert rows(csv_file(tmp_path, "u,i,t\n")) == rows(csv_file(tmp_path, "u,i,t")) == []


def test_plain_lines_keep_their_numbers_beside_broken_ones(tmp_path: Path) -> None:
    content = b"u,i,t\n\nu1,p1,1\r\n\r\nu2,p2\nu\xff,p3,3\n\n\nu4,p4,4"
    assert rows(csv_file(tmp_path, content)) == [
        (2, "", None, None, None),
        (3, None, "u1", "p1", "1"),
        (4, "", None, None, None),
        (5, "u2,p2", None, None, None),
        (6, None, "u\ufffd", "p3", "3"),
        (7, "", None, None, None),
        (8, "", None, None, None),
        (9, None, "u4", "p4", "4"),
    ]
