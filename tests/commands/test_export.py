import csv
import gzip
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.commands import export
from pipelines.context import Context
from pipelines.core.columns import PREPARED_SCHEMA
from pipelines.core.errors import ConfigError, InputError
from pipelines.io import files, tables
from pipelines.io.preparation.events import INTERACTIONS
from pipelines.settings import Settings
from tests.feature_data import day, event, event_table


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five events from March 1st to 5th at 12:00, in row groups of two; the second was cancelled."""
    log = [event("u", f"i{n}", "purchase", n + 0.5, price=None if n else 9.5) for n in range(5)]
    log[1] |= {"cancelled_at": day(3), "device": 'a "quoted", one'}
    monkeypatch.setattr(tables, "ROW_GROUP", 2)
    tables.write(tmp_path / INTERACTIONS, [event_table(log)], PREPARED_SCHEMA)
    return tmp_path


def run(root: Path, *arguments: str) -> Path:
    parser = ArgumentParser()
    export.configure(parser)
    args = parser.parse_args(["--out", str(root / arguments[0]), *arguments[1:]])
    export.run(Context(args, Settings.load(root, {})))
    return root / arguments[0]


def test_csv_holds_every_column_as_text(root: Path) -> None:
    rows = list(csv.DictReader(run(root, "log.csv").open(newline="", encoding="utf-8")))
    assert list(rows[0]) == PREPARED_SCHEMA.names
    assert [row["item_id"] for row in rows] == ["i0", "i1", "i2", "i3", "i4"]
    assert rows[0]["timestamp"] == "2024-03-01T12:00:00.000000Z"
    assert [row["cancelled_at"] for row in rows[:2]] == ["", "2024-03-04T00:00:00.000000Z"]
    assert [row["price"] for row in rows[:2]] == ["9.5", ""]
    assert rows[1]["device"] == 'a "quoted", one'
    assert rows[0]["is_bot"] == "false"


def test_gzip_holds_the_same_and_is_the_same_twice(root: Path) -> None:
    packed = run(root, "log.csv.gz")
    assert gzip.decompress(packed.read_bytes()) == run(root, "log.csv").read_bytes()
    assert files.sha256(packed) == files.sha256(run(root, "again.csv.gz"))


def test_days_and_columns_are_chosen(root: Path) -> None:
    out = run(root, "l.parquet", "--since", "2024-03-02", "--until", "2024-03-05", "--columns", "item_id", "quantity")
    found = pq.read_table(out)
    assert found.column_names == ["item_id", "quantity"]
    assert found["item_id"].to_pylist() == ["i1", "i2", "i3"]


def test_parquet_of_everything_is_the_prepared_file(root: Path) -> None:
    assert pq.read_table(run(root, "log.parquet")).equals(pq.read_table(root / INTERACTIONS))


def test_days_without_events_make_a_header_only(root: Path) -> None:
    text = run(root, "log.csv", "--since", "2030-01-01", "--columns", "item_id").read_text(encoding="utf-8")
    assert text.strip().strip('"') == "item_id"


def test_unknown_column_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match="no column colour: there are event_id"):
        run(root, "log.csv", "--columns", "colour")


def test_unknown_ending_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.xlsx.*\.csv"):
        run(root, "log.xlsx")


def test_nothing_prepared_says_what_to_run(tmp_path: Path) -> None:
    args = Namespace(out=tmp_path / "log.csv", since=None, until=None, columns=None)
    with pytest.raises(InputError, match="pipelines prepare"):
        export.run(Context(args, Settings.load(tmp_path, {})))
    assert not (tmp_path / "log.csv").exists()
