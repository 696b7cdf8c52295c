"""The catalogue's snapshots of the raw lake."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import InputError
from pipelines.io import files
from pipelines.io.intake import lake
from pipelines.io.intake.product_snapshots import read_history


def a(price: float, **fields: Any) -> dict[str, Any]:
    return {"id": "a", "title": "A", "price": price} | fields


def snapshots(root: Path, *texts: str) -> lake.Manifest:
    manifest = lake.Manifest.read(root, "http://shop")
    for day, text in enumerate(texts, 1):
        files.write_text(root / f"{day}.json", text)
        manifest.files.append({"path": f"{day}.json", "ingested_at": f"2026-01-{day:02d}T00:00:00+00:00"})
    return manifest


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_history_reads_every_snapshot(tmp_path: Path, indent: int | None) -> None:
    b = {"id": "b", "title": 'B, [x] {y} \\ " ]', "price": None}
    days = [[a(2.0), b], [a(1.0), b], []]
    known, bad = read_history(snapshots(tmp_path, *(f" {json.dumps(day, indent=indent)}\n" for day in days)))
    found = [(row["item_id"], row["valid_from"].day, row["price"], row["in_stock"]) for row in known.to_pylist()]
    assert found == [
        ("a", 1, 2.0, True),
        ("a", 2, 1.0, True),
        ("a", 3, 1.0, False),
        ("b", 1, None, True),
        ("b", 3, None, False),
    ]
    assert len(bad) == 0


def test_history_says_what_is_wrong_with_which_entry(tmp_path: Path) -> None:
    day = [a(2.0), a(1.0), None, {"id": "c", "title": "C", "price": -1}, a(-1)]
    known, bad = read_history(snapshots(tmp_path, json.dumps(day)))
    assert known["price"].to_pylist() == [2.0]
    assert [(row["position"], row["reasons"], json.loads(row["product"])) for row in bad.to_pylist()] == [
        (1, ["id is listed twice"], day[1]),
        (2, ["not an object"], None),
        (3, ["negative price"], day[3]),
        (4, ["negative price", "id is listed twice"], day[4]),
    ]


def test_history_leaves_out_what_was_withdrawn(tmp_path: Path) -> None:
    manifest = snapshots(tmp_path, json.dumps([a(2.0)]), json.dumps([a(1.0)]))
    manifest.files[1]["withdrawn"] = "2026-01-03T00:00:00+00:00"
    assert read_history(manifest)[0]["price"].to_pylist() == [2.0]


@pytest.mark.parametrize("text", ["", "{}", "[", '[{"id": 1}', '[{"id": 1} {"id": 2}]', '[{"id": 1},]', '[{"id": '])
def test_damaged_snapshot_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"1\.json is damaged"):
        read_history(snapshots(tmp_path, text))
