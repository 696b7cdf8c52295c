"""Validate and prepare on a simulated shop and on a slice of a real one."""

import csv
import gzip
import itertools
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipelines.context import Context
from pipelines.core.columns import EVENT_SCHEMA, PREPARED_SCHEMA, PRODUCT_SCHEMA
from pipelines.core.errors import DataQualityError
from pipelines.core.simulation.log import HEADER, Shop
from pipelines.io import files
from pipelines.io.intake import lake
from pipelines.stages import ingest, prepare, validate
from tests.stages.shop import CHECKOUT, fill_lake

pytestmark = pytest.mark.slow  # whole stages

ONLINE_RETAIL = CHECKOUT / "../shared/data/online-retail/online-retail.csv.gz"
REASONS = {
    "missing_user": {"missing user_id"},
    "missing_item": {"missing item_id"},
    "unknown_product": {"item_id is not in the catalogue"},
    "unknown_event_type": {"unknown event_type"},
    "unparsable_timestamp": {"unparsable timestamp", "missing timestamp"},
    "future_timestamp": {"timestamp in the future"},
    "bad_quantity": {"quantity below 1", "quantity is not a whole number"},
    "negative_price": {"negative price"},
    "garbage_line": {"wrong number of fields"},
}


def summary(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "data/reports/validation/summary.json").read_text())
    return found


def outputs(root: Path) -> dict[str, str]:
    folders = ("validated", "quarantine", "reports", "processed")
    paths = [path for name in folders for path in (root / "data" / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): files.sha256(path) for path in paths}


def test_simulated_shop_is_sorted_out_exactly(context: Context) -> None:
    root = context.root
    shop = Shop(150, 120, 10, 5, date(2026, 2, 4))
    fill_lake(root, {f"clickstream-{day}.csv": content for day, content in shop.files()}, shop.products)
    validate.run(context)
    found, dirty = summary(root), shop.counts["dirty"]
    assert found["rows"] == shop.counts["rows"]
    assert found["good"] == shop.counts["events"]
    assert found["duplicates"] == dirty["duplicate_row"] + dirty["repeated_event_id"]
    for kind, reasons in REASONS.items():
        assert sum(found["reasons"].get(reason, 0) for reason in reasons) == dirty[kind], kind
    assert len(found["files"]) == 10
    events = ds.dataset(root / "data/validated/events", format="parquet").to_table()
    assert events.schema.equals(EVENT_SCHEMA)
    assert events["event_id"].to_pylist() == sorted(events["event_id"].to_pylist())  # numbered in order of time
    assert pq.read_table(root / "data/validated/products.parquet").schema.equals(PRODUCT_SCHEMA)
    bad = pq.read_table(root / "data/quarantine/events.parquet").to_pylist()
    for row in bad:
        line = (root / lake.CLICKSTREAM / row["file"]).read_text().splitlines()[row["line"] - 1]
        assert line == (row["text"] or ",".join(row[name] for name in HEADER))

    prepare.run(context)
    prepared = pq.read_table(root / "data/processed/prepared_interactions.parquet")
    assert prepared.schema.equals(PREPARED_SCHEMA)
    assert [prepared[name].null_count for name in ("session_id", "price", "category")] == [0, 0, 0]
    assert set(prepared["item_id"].to_pylist()) <= set(
        pq.read_table(root / "data/processed/products.parquet")["item_id"].to_pylist()
    )
    assert {path.name for path in (root / "data/processed/eda").iterdir()} == {
        "interaction_distribution.png",
        "top_products.png",
        "activity_over_time.png",
        "long_tail.png",
        "hour_by_weekday.png",
        "funnel.png",
        "session_length.png",
        "cohort_retention.png",
        "sparsity.png",
    }

    before = outputs(root)
    validate.run(context)
    prepare.run(context)
    assert outputs(root) == before
    assert not (root / "data/cache/validate").exists()


TINY = "user_id,product_id,event_type,timestamp\n"
PRODUCT = {"id": "P1", "title": "Lamp", "price": 9.5}


def test_log_without_a_good_row_fails_but_shows_why(context: Context) -> None:
    log = TINY + "U1,P1,stare,2026-02-01T10:00:00Z\n,P1,view,2026-02-01T10:00:00Z\n"
    fill_lake(context.root, {"log-2026-02-01.csv": log.encode()}, [PRODUCT])
    with pytest.raises(DataQualityError) as failed:
        validate.run(context)
    text = str(failed.value)
    assert "2 of 2 rows are bad" in text
    assert "2026/02/01/clickstream.csv: 2 of 2 rows bad" in text
    assert "unknown event_type: 1 rows" in text
    assert summary(context.root)["success"] is False
    assert pq.read_metadata(context.root / "data/quarantine/events.parquet").num_rows == 2


def test_too_large_a_bad_share_fails(context: Context) -> None:
    good = "".join(f"U1,P1,view,2026-02-01T10:00:{second:02d}Z\n" for second in range(8))
    fill_lake(context.root, {"log.csv": (TINY + good + "U1,,view,\n").encode()}, [PRODUCT])
    with pytest.raises(DataQualityError, match="bad_share"):  # 1 in 9 is more than 1 in 10
        validate.run(context)


def test_missing_column_names_file_and_column(context: Context) -> None:
    fill_lake(context.root, {"log-2026-02-01.csv": b"user_id,product_id,timestamp\nU1,P1,2026-02-01\n"}, [PRODUCT])
    with pytest.raises(DataQualityError, match=r"2026/02/01/clickstream.csv: column 'event_type' is missing"):
        validate.run(context)


def test_bad_products_go_to_quarantine(context: Context) -> None:
    log = TINY + "U1,P1,view,2026-02-01T10:00:00Z\n"
    products = [PRODUCT, {"id": "P2", "price": 1}, PRODUCT | {"title": "Again"}]
    fill_lake(context.root, {"log.csv": log.encode()}, products)
    validate.run(context)
    bad = pq.read_table(context.root / "data/quarantine/products.parquet").to_pylist()
    assert sorted(row["reasons"] for row in bad) == [["id is listed twice"], ["missing title"]]
    assert pq.read_table(context.root / "data/validated/products.parquet")["item_id"].to_pylist() == ["P1"]


def test_validate_needs_a_log(context: Context) -> None:
    with pytest.raises(DataQualityError, match="pipelines ingest"):
        validate.run(context)


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="the Online Retail data set is not here")
def test_slice_of_online_retail(context: Context, connect: Callable[..., None], tmp_path: Path) -> None:
    log = tmp_path / "online-retail.csv"
    with gzip.open(ONLINE_RETAIL, "rt", encoding="utf-8") as whole:
        log.write_text("".join(itertools.islice(whole, 20_000)), encoding="utf-8")
    connect("online-retail", log)
    ingest.run(context)
    validate.run(context)
    prepare.run(context)
    found = summary(context.root)
    assert found["rows"] == 19_999 == found["good"] + found["quarantined"] + found["duplicates"]
    with log.open(encoding="utf-8", newline="") as lines:
        lines_taken_back = {
            tuple(row.values())
            for row in csv.DictReader(lines)
            if row["InvoiceNo"].startswith("C") and row["CustomerID"] and re.match("[0-9]{5}", row["StockCode"])
        }
    assert found["cancellations"] == len(lines_taken_back) > 0
    assert pq.read_metadata(context.root / "data/validated/cancellations.parquet").num_rows == found["cancellations"]
