"""``simulate`` writes a shop that says of itself that it is simulated, and replaces nothing that isn't."""

import gzip
import json
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.core.simulation.log import HEADER

ARGUMENTS = ["simulate", "--users", "40", "--items", "60", "--days", "4", "--end", "2026-02-04"]


def test_simulate_writes_files_catalogue_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(ARGUMENTS) == 0
    files = sorted(Path("data/demo/clickstream").iterdir())
    assert [file.name for file in files] == [f"clickstream-2026-02-0{day}.csv" for day in (1, 2, 3, 4)]
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert lines[0] == ",".join(HEADER)
    described = json.loads(Path("data/demo/simulation.json").read_text())
    assert described["simulated"] is True
    assert described["counts"]["rows"] == len(lines) - 4
    assert len(json.loads(Path("data/demo/catalogue.json").read_text())) == 60


def test_simulate_writes_the_same_as_gzip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*ARGUMENTS, "--out", "plain"]) == 0
    assert main([*ARGUMENTS, "--out", "zipped", "--gzip"]) == 0
    first = {file.name: file.read_bytes() for file in Path("zipped/clickstream").iterdir()}
    plain = {f"{file.name}.gz": file.read_bytes() for file in Path("plain/clickstream").iterdir()}
    assert {name: gzip.decompress(content) for name, content in first.items()} == plain
    assert main([*ARGUMENTS, "--out", "zipped", "--gzip"]) == 0
    assert {file.name: file.read_bytes() for file in Path("zipped/clickstream").iterdir()} == first
    described = [json.loads(Path(f"{out}/simulation.json").read_text())["parameters"] for out in ("plain", "zipped")]
    assert described[1] == described[0] | {"gzip": True}


def test_simulate_replaces_gzip_by_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*ARGUMENTS, "--gzip"]) == 0
    assert main(ARGUMENTS) == 0
    assert {file.suffix for file in Path("data/demo/clickstream").iterdir()} == {".csv"}


def test_simulate_refuses_a_folder_with_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = Path("shop/clickstream/real.csv")
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    assert main([*ARGUMENTS, "--out", "shop"]) == 1
    assert "real.csv" in capsys.readouterr().err
    assert mine.read_text() == "precious"


def test_simulate_needs_positive_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["simulate", "--users", "0"])
