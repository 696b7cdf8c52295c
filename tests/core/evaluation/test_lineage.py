from typing import Any

from pipelines.core.evaluation import lineage

ENTRY = {"path": "2026/03/01/clickstream.csv", "sha256": "aa", "rows": 10, "ingested_at": "2026-03-02T00:00:00+00:00"}
PRODUCTS = {"path": "2026/03/01/products.json", "sha256": "bb", "rows": 3, "ingested_at": "2026-03-02T00:00:00+00:00"}
LOCK = {
    "schema": "2.0",
    "stages": {
        "ingest": {"cmd": "i", "outs": [{"path": "data/raw", "md5": "m1.dir"}]},
        "register": {"cmd": "r", "deps": [{"path": "data/models", "md5": "old"}]},
    },
}


def document() -> dict[str, Any]:
    counted = {ENTRY["path"]: {"rows": 10, "quarantined": 2, "duplicates": 1}}
    return {
        "raw": {"clickstream": [ENTRY], "products": [PRODUCTS]},
        "validation": {"files": counted},
        "dvc_lock": lineage.lock(LOCK, "register"),
    }


def test_lock_leaves_out_the_stage_that_is_still_running() -> None:
    assert list(document()["dvc_lock"]["stages"]) == ["ingest"]
    assert "register" in LOCK["stages"]
    assert lineage.lock(None, "register") is None


def test_seen_counts_what_became_of_a_files_rows() -> None:
    expected = {"path": "clickstream/" + ENTRY["path"], "rows": 10, "good": 7, "quarantined": 2, "duplicates": 1}
    assert lineage.seen(document(), "aa") == [expected]
    assert lineage.seen(document(), "bb") == [{"path": "products/" + PRODUCTS["path"], "rows": 3}]
    assert lineage.seen(document(), "cc") == []


def test_stage_files_are_those_of_the_lock() -> None:
    assert list(lineage.stage_files(document())) == [("ingest", "outs", "data/raw", "m1.dir")]
    assert list(lineage.stage_files(document() | {"dvc_lock": None})) == []
