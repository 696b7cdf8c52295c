"""A withdrawn file is not read, its bytes stay, and its content is not taken in again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.errors import InputError
from pipelines.io.intake import lake
from pipelines.io.intake.copying import Copied
from pipelines.io.quality import withdrawal
from tests.stages.shop import fill_lake

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = b"user_id,product_id,event_type,timestamp\n"
ROW = b"u,p,view,2026-01-01T10:00:00Z\n"
PATH = "2026/02/01/clickstream.csv"


@pytest.fixture(autouse=True)
def root(tmp_path: Path) -> Path:
    """A lake with one file, of a folder that was connected."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log/good-2026-02-01.csv").write_bytes(HEADER + ROW)
    (tmp_path / "log/empty-2026-02-02.csv").touch()
    fill_lake(tmp_path, {"good-2026-02-01.csv": HEADER + ROW}, [{"id": 1}])
    connection = {"shop": "clickstream", "source": "clickstream", "clickstream": ["log"]}
    (tmp_path / "data/source.yaml").write_text(yaml.safe_dump(connection))
    return tmp_path


def entry(root: Path, path: str = PATH) -> dict[str, Any]:
    found = lake.Manifest.read(root / lake.CLICKSTREAM).entry(path)
    assert found is not None
    return found


@pytest.mark.parametrize("given", [PATH, f"data/raw/clickstream/{PATH}", "log/good-2026-02-01.csv"])
def test_file_is_found_by_its_path_in_lake_and_log(root: Path, given: str) -> None:
    withdrawal.withdraw(root, given, NOW)
    assert entry(root)["withdrawn"] == "2026-03-01T12:00:00+00:00"
    assert (root / lake.CLICKSTREAM / PATH).read_bytes() == HEADER + ROW
    withdrawal.restore(root, given)
    assert "withdrawn" not in entry(root)


def test_file_is_found_by_its_absolute_path(root: Path) -> None:
    withdrawal.withdraw(root, str(root / lake.CLICKSTREAM / PATH), NOW)
    assert "withdrawn" in entry(root)


def test_snapshot_of_the_catalogue_can_be_withdrawn(root: Path) -> None:
    withdrawal.withdraw(root, "data/raw/products/2026/02/05/products.json", NOW)
    assert lake.Manifest.read(root / lake.PRODUCTS).active() == []
    withdrawal.restore(root, "2026/02/05/products.json")
    assert len(lake.Manifest.read(root / lake.PRODUCTS).active()) == 1


def test_withdrawn_twice_keeps_the_first_time(root: Path) -> None:
    withdrawal.withdraw(root, PATH, NOW)
    assert "withdrawn before" in withdrawal.withdraw(root, PATH, datetime(2027, 1, 1, tzinfo=UTC))
    assert entry(root)["withdrawn"].startswith("2026")


def test_refused_file_is_kept_as_withdrawn(root: Path) -> None:
    withdrawal.withdraw(root, "log/empty-2026-02-02.csv", NOW)
    kept = entry(root, "2026/02/02/clickstream.csv")
    assert (kept["rows"], kept["bytes"], kept["source"]) == (0, 0, "empty-2026-02-02.csv")
    assert (root / lake.CLICKSTREAM / kept["path"]).read_bytes() == b""
    assert [held["path"] for held in lake.Manifest.read(root / lake.CLICKSTREAM).active()] == [PATH]


def test_file_that_does_not_fit_stays_withdrawn(root: Path) -> None:
    withdrawal.withdraw(root, "log/empty-2026-02-02.csv", NOW)
    with pytest.raises(InputError, match=r"2026/02/02/clickstream\.csv is empty"):
        withdrawal.restore(root, "2026/02/02/clickstream.csv")
    assert "withdrawn" in entry(root, "2026/02/02/clickstream.csv")


def test_file_withdrawn_before_it_came_in_is_counted_when_it_is_read_again(root: Path) -> None:
    (root / "log/new-2026-02-03.csv").write_bytes(HEADER + ROW * 3)
    withdrawal.withdraw(root, "log/new-2026-02-03.csv", NOW)
    withdrawal.restore(root, "2026/02/03/clickstream.csv")
    assert entry(root, "2026/02/03/clickstream.csv")["rows"] == 3


@pytest.mark.parametrize("given", ["2026/09/09/clickstream.csv", "data/source.yaml", "log"])
def test_other_files_are_refused(root: Path, given: str) -> None:
    with pytest.raises(InputError, match="is in no manifest of data/raw"):
        withdrawal.withdraw(root, given, NOW)


def test_undo_needs_a_withdrawn_file(root: Path) -> None:
    with pytest.raises(InputError, match="isn't withdrawn"):
        withdrawal.restore(root, PATH)


def test_repairs_stay_withdrawn_once_their_rows_have_others(root: Path) -> None:
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM)
    for user, marks in (("U1", {"withdrawn": "2026"}), ("U2", {})):
        (root / "copy").write_text(f"_file,_line,user_id\n{PATH},2,{user}\n")
        arrived = Copied(root / "fix.csv", root / "copy", user, 9, 1, 0)
        lake.add_file(manifest, arrived, NOW, stem=lake.REPAIRS, repairs=True, **marks)
    manifest.write()
    with pytest.raises(InputError, match=rf"{PATH}:2, which 2026/03/01/repairs-2.csv:2 repairs by now"):
        withdrawal.restore(root, "2026/03/01/repairs.csv")
