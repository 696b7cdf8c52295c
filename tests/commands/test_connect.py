"""``connect`` tries everything it is told before it remembers it."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from pipelines.__main__ import main
from pipelines.io import files
from pipelines.io.intake import lake, sources

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "retail.csv").write_text(HEADER)
    return tmp_path


def test_connect_remembers_the_shop(root: Path) -> None:
    assert main(["connect", "--source", "online-retail", "--clickstream", "retail.csv"]) == 0
    assert yaml.safe_load((root / "data/source.yaml").read_text()) == {
        "shop": "online-retail",
        "source": "online-retail",
        "clickstream": ["retail.csv"],
        "since": None,
        "catalogue_url": None,
        "catalogue_paging": "skip",
    }


def test_connect_remembers_since_when_and_how_the_catalogue_pages(root: Path) -> None:
    arguments = ["connect", "--source", "online-retail", "--clickstream", "retail.csv"]
    assert main([*arguments, "--since", "2026-02-28", "--catalogue-paging", "page"]) == 0
    connection = sources.read_connection(root)
    assert (connection.since, connection.catalogue_paging) == (date(2026, 2, 28), "page")


def test_connect_leaves_a_file_that_does_not_fit_to_ingest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "log").mkdir()
    (root / "log/good.csv").write_text(HEADER)
    (root / "log/bad.csv").write_text("InvoiceNo\n")
    assert main(["connect", "--source", "online-retail", "--clickstream", "log"]) == 0
    assert "log/bad.csv: column 'CustomerID' is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "nope", "--clickstream", "retail.csv"], "no source mapping 'nope'"),
        (["--source", "online-retail", "--clickstream", "none.csv"], "none.csv does not exist"),
        (["--source", "online-retail", "--clickstream", "empty"], "empty is or holds no .csv"),
        (["--source", "clickstream", "--clickstream", "retail.csv"], "retail.csv: column 'user_id' is missing"),
        (["--source", "own.yaml", "--clickstream", "retail.csv"], "own.yaml: columns.item_id"),
        (["--source", "online-retail", "--clickstream", "retail.csv", "--catalogue-url", "http://x"], "leave out"),
    ],
)
def test_connect_says_what_is_wrong(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (root / "empty").mkdir()
    (root / "own.yaml").write_text("{name: own, columns: {user_id: a}}")
    assert main(["connect", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (root / "data/source.yaml").exists()


def test_connect_needs_the_catalogue_of_a_source_without_one(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "log.csv").write_text("user_id,product_id,event_type,timestamp\n")
    assert main(["connect", "--clickstream", "log.csv"]) == 1
    assert "--catalogue-url" in capsys.readouterr().err


def _first_file(root: Path) -> Path:
    return root / lake.CLICKSTREAM / "2026/01/01/clickstream.csv"


def test_connect_sets_another_shop_aside_and_brings_it_back(root: Path) -> None:
    lake.Manifest.read(root / lake.CLICKSTREAM, "first").write()
    files.write_text(_first_file(root), "old")
    arguments = ["connect", "--source", "online-retail", "--clickstream", "retail.csv", "--shop"]
    assert main([*arguments, "second"]) == 0
    assert not (root / lake.CLICKSTREAM).exists()
    assert main([*arguments, "first"]) == 0
    assert _first_file(root).read_text() == "old"


def test_connect_completes_a_switch_that_was_killed_half_way(root: Path) -> None:
    lake.Manifest.read(root / lake.ASIDE / "first/clickstream", "first").write()
    arguments = ["connect", "--source", "online-retail", "--clickstream", "retail.csv", "--shop", "first"]
    assert main(arguments) == 0
    assert lake.Manifest.read(root / lake.CLICKSTREAM).source == "first"


def test_connect_refuses_a_name_that_is_a_path(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", "--source", "online-retail", "--clickstream", "retail.csv", "--shop", "../x"]) == 1
    assert "'../x'" in capsys.readouterr().err
