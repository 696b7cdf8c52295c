"""From a bad file and bad rows to a whole lake: quarantine, replay and withdraw on real files."""

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.__main__ import main
from pipelines.io.intake import lake

pytestmark = pytest.mark.slow  # whole stages

CHECKOUT = Path(__file__).resolve().parents[2]
HEADER = "user_id;product_id;event_type;timestamp;price\n"
GOOD = "".join(f"Ü{n};P{n % 3};purchase;2026-02-01T10:00:{n:02d};1.000,50\n" for n in range(20))
FIRST = "2026/02/01/clickstream.csv"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop with semicolons, decimal commas and Latin-1; a row without a user, a torn one, and an empty file."""
    mapping = yaml.safe_load((CHECKOUT / "pipelines/sources/clickstream.yaml").read_text())
    mapping |= {
        "name": "berlin",
        "format": {"delimiter": ";", "encoding": "latin-1", "decimal": ","},
        "timestamp": {"column": "timestamp", "timezone": "Europe/Berlin"},
        "catalogue": {"from": "log", "title": "product_id"},
        "max_bad_share": 0.5,
    }
    (tmp_path / "berlin.yaml").write_text(yaml.safe_dump(mapping))
    (tmp_path / "params.yaml").write_text((CHECKOUT / "params.yaml").read_text())
    (tmp_path / "log").mkdir()
    bad = ";P1;purchase;2026-02-01T12:00:00;2,50\nÜ9;P2\n"
    (tmp_path / "log/day-2026-02-01.csv").write_text(HEADER + GOOD + bad, encoding="latin-1")
    (tmp_path / "log/day-2026-02-02.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["connect", "--source", "berlin.yaml", "--clickstream", "log"]) == 0
    return tmp_path


def summary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("data/reports/validation/summary.json").read_text())
    return found


def events() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset("data/validated/events", format="parquet").to_table().to_pylist()
    return rows


def test_bad_file_and_bad_rows_are_set_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest"]) == 1
    assert "day-2026-02-02.csv is empty (0 bytes)" in capsys.readouterr().err
    assert main(["withdraw", "log/day-2026-02-02.csv"]) == 0
    assert main(["ingest"]) == 0
    assert main(["validate"]) == 0
    assert (summary()["good"], summary()["quarantined"]) == (20, 2)

    capsys.readouterr()
    assert main(["quarantine"]) == 0
    shown = capsys.readouterr().out
    assert "2 rows are in quarantine, 0 of them are repaired" in shown
    assert "         1         0  missing user_id" in shown
    assert f"         2         0  {FIRST}" in shown
    assert f"{FIRST}:23: wrong number of fields\n      Ü9;P2" in shown

    assert main(["quarantine", "--export", "fix.csv"]) == 0
    exported = Path("fix.csv").read_text(encoding="utf-8")
    assert exported == (
        "_file,_line,_reasons,_text,user_id,product_id,event_type,timestamp,price\n"
        f'{FIRST},22,missing user_id,,,P1,purchase,2026-02-01T12:00:00,"2,50"\n'
        f"{FIRST},23,wrong number of fields,Ü9;P2,,,,,\n"
    )
    Path("fix.csv").write_text(exported.replace(",,,P1", ",,Ü8,P1"), encoding="utf-8")
    assert main(["replay", "fix.csv"]) == 0
    assert "1 repairs entered as" in capsys.readouterr().err
    assert main(["validate"]) == 0
    assert {name: summary()[name] for name in ("rows", "good", "quarantined", "repaired", "duplicates")} == {
        "rows": 23,
        "good": 21,
        "quarantined": 2,
        "repaired": 1,
        "duplicates": 0,
    }
    newest = events()[-1]
    assert (newest["user_id"], newest["price"], newest["timestamp"].isoformat()) == (
        "Ü8",
        2.5,
        "2026-02-01T11:00:00+00:00",
    )
    assert main(["quarantine", "--export", "fix.csv"]) == 0
    assert [line.split(",")[1] for line in Path("fix.csv").read_text(encoding="utf-8").splitlines()[1:]] == ["23"]


def test_repair_that_is_refused_again_is_exported_itself() -> None:
    main(["ingest"])
    assert main(["validate"]) == 0
    assert main(["quarantine", "--reason", "missing user_id", "--export", "fix.csv"]) == 0
    exported = Path("fix.csv").read_text(encoding="utf-8")
    Path("fix.csv").write_text(exported.replace(",,,P1,purchase", ",,U8,P1,bought"), encoding="utf-8")
    assert main(["replay", "fix.csv"]) == main(["validate"]) == 0
    assert main(["quarantine", "--export", "again.csv"]) == 0
    again = Path("again.csv").read_text(encoding="utf-8")
    assert "unknown event_type,,U8,P1,bought" in again
    assert f"{FIRST},22" not in again
    Path("again.csv").write_text(again.replace("bought", "purchase"), encoding="utf-8")
    assert main(["replay", "again.csv"]) == main(["validate"]) == 0
    assert (summary()["good"], summary()["repaired"]) == (21, 2)
    bad = pq.read_table("data/quarantine/events.parquet", columns=["file", "line", "repaired_in"]).to_pylist()
    assert [row["repaired_in"] is None for row in bad if row["file"] == FIRST] == [False, True]


def test_quarantine_of_a_reason_that_no_row_has(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ingest"])
    assert main(["validate"]) == 0
    assert main(["quarantine", "--reason", "missing user"]) == 1
    assert "no row in quarantine has reason 'missing user'" in capsys.readouterr().err


def test_withdrawn_file_is_left_out_of_validation_until_it_is_back() -> None:
    Path("log/day-2026-02-02.csv").write_text(HEADER + GOOD.replace("02-01", "02-02"), encoding="latin-1")
    assert main(["ingest"]) == main(["validate"]) == 0
    assert main(["withdraw", FIRST]) == main(["validate"]) == 0
    assert (list(summary()["files"]), len(events())) == (["2026/02/02/clickstream.csv"], 20)
    assert (lake.CLICKSTREAM / FIRST).exists()
    assert main(["withdraw", "--undo", FIRST]) == main(["validate"]) == 0
    assert len(events()) == 40
