"""Edited rows enter the raw lake once, and only where each refers to an open row of the quarantine."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.io import files
from pipelines.io.intake import lake
from pipelines.io.intake.copying import Copied
from pipelines.io.quality import repairs
from tests.io.quality.test_quarantine import A, B, write

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = "_file,_line,_reasons,_text,user_id,line\n"
BROKEN = f'{A},5,wrong number of fields,"a,""b",U5,5\n'
MISSING = f"{A},2,missing user_id,,U2,7\n"


@pytest.fixture(autouse=True)
def quarantined(tmp_path: Path) -> None:
    """Three open rows in files of the lake."""
    write(
        tmp_path,
        [
            (A, 2, ["missing user_id"], None, None, None, "7"),
            (A, 5, ["wrong number of fields"], 'a,"b', None, None, None),
            (B, 3, ["missing user_id"], None, None, None, "é\n"),
        ],
    )
    manifest = lake.Manifest.read(tmp_path / lake.CLICKSTREAM, "shop")
    for path in (A, B):
        manifest.add({"path": path, "sha256": path, "rows": 9, "ingested_at": NOW.isoformat()})
    manifest.write()


def replay(root: Path, content: str | bytes, header: str = HEADER) -> repairs.Replayed:
    path = root / "fix.csv"
    path.write_bytes(content if isinstance(content, bytes) else (header + content).encode())
    return repairs.replay(root, path, NOW)


def manifest(root: Path) -> lake.Manifest:
    return lake.Manifest.read(root / lake.CLICKSTREAM)


def test_changed_rows_enter_the_lake(tmp_path: Path) -> None:
    unchanged = f'{B},3,missing user_id,,,"é\n"\n'
    assert replay(tmp_path, BROKEN + unchanged + MISSING) == repairs.Replayed("2026/03/01/repairs.csv", 2, 1, 0)
    written = (tmp_path / lake.CLICKSTREAM / "2026/03/01/repairs.csv").read_bytes()
    assert written.decode() == f"_file,_line,user_id,line\n{A},2,U2,7\n{A},5,U5,5\n"
    entry = manifest(tmp_path).entry("2026/03/01/repairs.csv")
    assert entry is not None
    assert (entry["repairs"], entry["rows"], entry["bytes"], entry["source"]) == (True, 2, len(written), "fix.csv")


def test_same_repairs_twice_add_nothing(tmp_path: Path) -> None:
    replay(tmp_path, MISSING)
    before = manifest(tmp_path).files
    assert replay(tmp_path, MISSING) == repairs.Replayed(None, 0, 0, 1)
    assert manifest(tmp_path).files == before


def test_repairs_may_come_in_parts_of_one_export(tmp_path: Path) -> None:
    replay(tmp_path, MISSING)
    assert replay(tmp_path, MISSING + BROKEN) == repairs.Replayed("2026/03/01/repairs-2.csv", 1, 0, 1)


def test_nothing_changed_enters_nothing(tmp_path: Path) -> None:
    assert replay(tmp_path, f"{A},2,missing user_id,,,7\n") == repairs.Replayed(None, 0, 1, 0)
    assert len(manifest(tmp_path).files) == 2


def test_spreadsheets_mark_and_line_ends_are_taken(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + (HEADER + MISSING + "\n").replace("\n", "\r\n").encode()
    assert replay(tmp_path, content).entered == 1


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (f"{A},2\n", "fix.csv:2: 2 fields, but the header has 6 columns"),
        (MISSING + f"{A},x,,,U,7\n", "fix.csv:3: _line: 'x' is not a line number"),
        (MISSING + f"{A},3,,,U,7\n", f"fix.csv:3: _line: {A}:3 is not in quarantine"),
        (MISSING + "no.csv,3,,,U,7\n", "fix.csv:3: _file: 'no.csv' is not in quarantine"),
        (MISSING + MISSING, "fix.csv:3: _line: the same row is on line 2"),
        (MISSING + f"{A},5,,changed,U,7\n", "fix.csv:3: _text: only shows the line"),
    ],
)
def test_mistake_in_a_row_is_named_and_nothing_enters(tmp_path: Path, content: str, mistake: str) -> None:
    with pytest.raises(InputError) as refused:
        replay(tmp_path, content)
    assert mistake in str(refused.value)
    assert len(manifest(tmp_path).files) == 2
    assert not list((tmp_path / lake.RAW).rglob("*.csv"))


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (b"", "fix.csv:1: column '_file' is missing"),
        (b"_file,_line,user_id\n", "fix.csv:1: column 'line' is missing"),
        (b"_file;_line;user_id;line\n", "fix.csv:1: column '_file' is missing"),
        (b"_file,_line,user_id,line,colour\n", "fix.csv:1: column 'colour' is there twice, or is no column of the log"),
        (b"_file,_line,user_id,line,line\n", "fix.csv:1: column 'line' is there twice"),
        ((HEADER + "é").encode("latin-1"), "fix.csv is not CSV in UTF-8"),
    ],
)
def test_file_that_is_no_export_is_refused(tmp_path: Path, content: bytes, mistake: str) -> None:
    with pytest.raises(InputError, match=mistake):
        replay(tmp_path, content)


def test_many_mistakes_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="and 3 more"):
        replay(tmp_path, "".join(f"{A},{line},,,U,7\n" for line in range(11, 19)))


def test_row_with_another_repair_is_refused(tmp_path: Path) -> None:
    replay(tmp_path, MISSING)
    with pytest.raises(InputError, match=rf"fix.csv:2: _line: {A}:2 has another repair, 2026/03/01/repairs.csv:2"):
        replay(tmp_path, MISSING.replace("U2", "U3"))


def test_row_of_a_withdrawn_file_is_refused(tmp_path: Path) -> None:
    held = manifest(tmp_path)
    held.files[0][lake.WITHDRAWN] = NOW.isoformat()
    held.write()
    with pytest.raises(InputError, match=f"fix.csv:2: _file: {A} is withdrawn"):
        replay(tmp_path, MISSING)


def test_withdrawn_repairs_leave_their_rows_open(tmp_path: Path) -> None:
    replay(tmp_path, MISSING)
    held = manifest(tmp_path)
    held.files[-1][lake.WITHDRAWN] = NOW.isoformat()
    held.write()
    with pytest.raises(InputError, match=r"withdraw --undo 2026/03/01/repairs\.csv"):
        replay(tmp_path, MISSING)
    assert replay(tmp_path, MISSING.replace("U2", "U3")).entered == 1


def test_repaired_rows_are_known_by_their_places(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_text(f'_file,_line,user_id\n{A},2,"U\n2"\n{B},3,U3\n')
    held = manifest(tmp_path)
    arrived = Copied(tmp_path / "x.csv", copy, files.sha256(copy), 1, 2, 0)
    lake.add_file(held, arrived, NOW, stem=lake.REPAIRS, repairs=True)
    assert repairs.repaired(held) == {
        (A, 2): repairs.Repair("2026/03/01/repairs.csv:2", {"user_id": "U\n2"}),
        (B, 3): repairs.Repair("2026/03/01/repairs.csv:4", {"user_id": "U3"}),
    }
