"""Files come in whole, counted and hashed, or are refused with a reason that names them."""

import gzip
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError
from pipelines.io.intake import copying
from tests.io.tiny import MAPPING

HEADER = b"u,i,t\n"
ROWS = b"".join(b"user%d,item,2026-01-01\n" % n for n in range(5000))


def parquet(rows: int, **columns: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({name: ["x"] * rows for name in columns or ("u", "i", "t")}), file)
    return file.getvalue()


def damaged(content: bytes, at: int) -> bytes:
    return content[:at] + bytes(byte ^ 255 for byte in content[at : at + 40]) + content[at + 40 :]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("log.csv", HEADER)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", HEADER + b"1,2,3\n4,5,6\n", 2),
        ("a.csv", HEADER + b"1,2,3\n4,5,6", 2),
        ("a.csv", HEADER, 0),
        ("a.csv", HEADER.rstrip(), 0),
        ("a.csv.gz", gzip.compress(HEADER + ROWS, mtime=0), 5000),
        ("a.csv.gz", gzip.compress(HEADER, mtime=0) + gzip.compress(ROWS, mtime=0), 5000),  # as `cat a.gz b.gz` makes
        ("a.csv.gz", gzip.compress(HEADER + ROWS, mtime=0) + bytes(1000), 5000),  # padded, as tapes do
        ("a.parquet", parquet(7), 7),
        ("a.parquet", parquet(0), 0),
    ],
)
def test_file_comes_in_byte_for_byte(tmp_path: Path, name: str, content: bytes, rows: int) -> None:
    (tmp_path / name).write_bytes(content)
    copied = copying.copy(tmp_path / name, tmp_path / "copy", MAPPING)
    assert (tmp_path / "copy").read_bytes() == content
    assert (copied.rows, copied.bytes, copied.sha256) == (rows, len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"", "is empty (0 bytes)"),
        ("a.csv.gz", b"", "is empty (0 bytes)"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty (gzip of nothing)"),
        ("a.csv", b"u,t\n1,2\n", "column 'i' is missing; the header has u, t"),
        ("a.csv.gz", gzip.compress(b"u,t\n1,2\n", mtime=0), "column 'i' is missing; the header has u, t"),
        ("a.parquet", parquet(1, u="", t=""), "column 'i' is missing; the header has u, t"),
        ("a.csv", b"u,i,t,I\n", "column 'I' is named twice"),
        ("a.csv.gz", gzip.compress(HEADER + ROWS, mtime=0)[:-4], "can't be read to its end: it ends too early"),
        ("a.csv.gz", gzip.compress(HEADER, mtime=0)[:12], "can't be read: it ends too early"),
        ("a.csv.gz", damaged(gzip.compress(HEADER + ROWS, 1, mtime=0), 8000), "can't be read"),
        ("a.csv.gz", HEADER, "is plain text, not what .csv.gz says"),
        ("a.csv", gzip.compress(HEADER, mtime=0), "is gzip, not what .csv says"),
        ("a.csv", parquet(1), "is Parquet, not what .csv says"),
        ("a.csv", archive(), "is a zip archive or a spreadsheet, not what .csv says"),
        ("a.parquet", HEADER, "is plain text, not what .parquet says"),
        ("a.parquet", parquet(1)[:-30], "a.parquet can't be read: "),
        ("a.parquet", damaged(parquet(20_000), 8), "can't be read to its end"),
        ("a.csv", b"u" * (2 << 20), "the first line takes more than 1048576 bytes"),
        ("a.csv", b'u,i,t,"' + b"x" * 200_000 + b'"\n', "can't be read: field larger than"),
    ],
)
def test_file_that_cannot_be_used_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    (refused,) = copying.copy_all([tmp_path / name], tmp_path / "lake", MAPPING)
    assert isinstance(refused, copying.Refused)
    assert reason in refused.reason
    assert str(tmp_path / name) in refused.reason
    assert list((tmp_path / "lake").iterdir()) == []


@pytest.mark.parametrize("name", ["gone.csv", "folder.csv"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (refused,) = copying.copy_all([tmp_path / name], tmp_path / "lake", MAPPING)
    assert isinstance(refused, copying.Refused)
    assert name in refused.reason


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Something appends to ``path`` all the time."""
    done = threading.Event()

    def append() -> None:
        with path.open("ab", buffering=0) as file:
            while not done.is_set():
                file.write(b"1,2,3\n")

    writer = threading.Thread(target=append)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def test_file_still_being_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + ROWS * 100)
    with written_to(path), pytest.raises(InputError, match=r"a\.csv changed while it was copied"):
        copying.copy(path, tmp_path / "copy", MAPPING)


def test_copies_come_in_the_order_of_their_files_and_go_if_nobody_takes_them(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.csv" for n in range(20)]
    for n, path in enumerate(paths):
        path.write_bytes(HEADER + (ROWS * 20 if n % 5 == 0 else b""))  # the slow ones first
    for path, copied in zip(paths, copying.copy_all(paths, tmp_path / "lake", MAPPING), strict=True):
        assert isinstance(copied, copying.Copied)
        assert copied.original == path
        assert copied.copy.exists()
    assert list((tmp_path / "lake").iterdir()) == []
