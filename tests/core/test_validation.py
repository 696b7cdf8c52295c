"""Every kind of bad row gets its reasons, all of them; good rows become canonical."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core import validation
from pipelines.core.columns import UTC_US
from pipelines.core.mapping import SourceMapping
from pipelines.io import duck
from pipelines.io.sources import load_mapping

ARRIVED = datetime(2026, 1, 10, 12, tzinfo=UTC)
GOOD = {
    "user_id": "U1",
    "product_id": "P1",
    "event_type": "view",
    "timestamp": "2026-01-10T10:00:00Z",
    "device": "mobile",
    "session_id": "S1",
    "quantity": "",
    "price": "",
    "event_id": "E1",
}
INVOICE = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "HOLDER",
    "Quantity": "6",
    "InvoiceDate": "2010-12-01 08:26:00",
    "UnitPrice": "2.55",
    "CustomerID": "17850.0",
    "Country": "United Kingdom",
}


def assess(folder: Path, mapping: SourceMapping, rows: list[dict[str, str | None]], items: list[str] | None) -> Any:
    """Ibis table of assessed ``rows``, each a line of one file from line 2 on."""
    con = duck.connect("500MB", threads=1)
    staged = [{f"raw:{name}": value for name, value in row.items() if name != "text"} for row in rows]
    columns = {name: pa.array([row.get(name) for row in staged], pa.string()) for name in staged[0]}
    lines = {
        "line": pa.array(range(2, len(rows) + 2)),
        "text": pa.array([row.get("text") for row in rows], pa.string()),
        "file": pa.array(["f.csv"] * len(rows)),
        "arrived": pa.array([ARRIVED] * len(rows), UTC_US),
    }
    pq.write_table(pa.table(lines | columns), folder / "staged.parquet")
    pq.write_table(pa.table({"item_id": pa.array(items or [], pa.string())}), folder / "items.parquet")
    known = con.read_parquet(str(folder / "items.parquet")) if items is not None else None
    return validation.assess(con.read_parquet(str(folder / "staged.parquet")), mapping, known)


def clickstream(folder: Path, *rows: dict[str, str | None]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        assess(folder, load_mapping("clickstream", folder), list(rows), ["P1", "P2"]).to_pyarrow().to_pylist()
    )
    return sorted(found, key=lambda row: row["line"])


def test_good_row_becomes_canonical(tmp_path: Path) -> None:
    (row,) = clickstream(
        tmp_path, GOOD | {"user_id": " U1 ", "event_type": "Purchase", "quantity": "2", "price": "9.5"}
    )
    assert row["reasons"] == []
    assert (row["event_id"], row["user_id"], row["item_id"], row["event_type"]) == ("E1", "U1", "P1", "purchase")
    assert (row["quantity"], row["price"], row["session_id"]) == (2, 9.5, "S1")
    assert row["timestamp"] == datetime(2026, 1, 10, 10, tzinfo=UTC)


def test_absent_quantity_is_one_and_absent_price_stays_null(tmp_path: Path) -> None:
    (row,) = clickstream(tmp_path, GOOD)
    assert (row["quantity"], row["price"]) == (1, None)


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"user_id": ""}, ["missing user_id"]),
        ({"product_id": "  "}, ["missing item_id"]),
        ({"product_id": "P9"}, ["item_id is not in the catalogue"]),
        ({"event_type": "wishlist"}, ["unknown event_type"]),
        ({"event_type": ""}, ["unknown event_type"]),
        ({"timestamp": ""}, ["missing timestamp"]),
        ({"timestamp": "2026-13-45T25:61:00Z"}, ["unparsable timestamp"]),
        ({"timestamp": "not a time"}, ["unparsable timestamp"]),
        ({"timestamp": "2026-01-10T13:00:01Z"}, ["timestamp in the future"]),
        ({"timestamp": "1970-01-01T00:00:00Z"}, ["timestamp before 1990"]),
        ({"quantity": "0"}, ["quantity below 1"]),
        ({"quantity": "-1"}, ["quantity below 1"]),
        ({"quantity": "1.5"}, ["quantity is not a whole number"]),
        ({"quantity": "many"}, ["quantity is not a whole number"]),
        ({"quantity": "nan"}, ["quantity is not a whole number"]),
        ({"quantity": "1e18"}, ["quantity above 1000000"]),
        ({"price": "-9.99"}, ["negative price"]),
        ({"price": "free"}, ["price is not a number"]),
        ({"price": "nan"}, ["price is not a number"]),
        ({"price": "inf"}, ["price out of range"]),
        ({"user_id": "U\ufffd"}, ["undecodable bytes"]),
        ({"text": "U1,P1"}, ["wrong number of fields"]),
        (
            {"user_id": "", "event_type": "?", "price": "-1"},
            ["missing user_id", "unknown event_type", "negative price"],
        ),
    ],
)
def test_bad_row_gets_every_reason(tmp_path: Path, change: dict[str, str], reasons: list[str]) -> None:
    good, bad = clickstream(tmp_path, {**GOOD, "text": None}, {**GOOD, **change})
    assert good["reasons"] == []
    assert bad["reasons"] == reasons


@pytest.mark.parametrize("given", ["2026-01-10 10:00:00", "2026-01-10T12:00:00+02:00", "2026-01-10T10:00:00.000Z"])
def test_iso_time_knows_its_offset_or_is_in_the_mapping_zone(tmp_path: Path, given: str) -> None:
    (row,) = clickstream(tmp_path, GOOD | {"timestamp": given})
    assert row["timestamp"] == datetime(2026, 1, 10, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ({"format": "epoch_s"}, "1768039200"),
        ({"format": "epoch_ms"}, "1768039200000"),
        ({"format": ["%Y-%m-%d", "%d/%m/%Y %H:%M"], "timezone": "Europe/Berlin"}, "10/01/2026 11:00"),
    ],
)
def test_time_is_read_in_the_mapping_format(tmp_path: Path, rule: dict[str, Any], given: str) -> None:
    mapping = load_mapping("clickstream", tmp_path)
    timestamp = mapping.timestamp.model_validate({"column": "timestamp"} | rule)
    assessed = assess(
        tmp_path, mapping.model_copy(update={"timestamp": timestamp}), [GOOD | {"timestamp": given}], ["P1"]
    )
    assert assessed.to_pyarrow()["timestamp"].to_pylist() == [datetime(2026, 1, 10, 10, tzinfo=UTC)]


def test_online_retail_rows_by_their_rules(tmp_path: Path) -> None:
    rows = [
        INVOICE,
        INVOICE | {"InvoiceDate": "2011-07-01 12:00:00"},  # summer time: an hour before UTC's clock
        INVOICE | {"CustomerID": ""},
        INVOICE | {"InvoiceNo": "C536379", "Quantity": "-1"},
        INVOICE | {"StockCode": "POST"},
        INVOICE | {"StockCode": "gift_0001_20", "CustomerID": ""},
    ]
    assessed = assess(tmp_path, load_mapping("online-retail", tmp_path), rows, None)
    found = sorted(assessed.to_pyarrow().to_pylist(), key=lambda row: row["line"])
    assert [row["reasons"] for row in found] == [
        [],
        [],
        ["missing user_id"],
        ["cancellation", "quantity below 1"],
        ["not a product"],
        ["not a product", "missing user_id"],
    ]
    first, summer = found[:2]
    assert (first["user_id"], first["item_id"], first["session_id"]) == ("17850", "85123A", "536365")
    assert (first["event_type"], first["quantity"], first["price"]) == ("purchase", 6, 2.55)
    assert first["timestamp"] == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert summer["timestamp"] == datetime(2011, 7, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("test", "value", "caught"),
    [
        ({"is_in": ["a", "b"]}, "b", True),
        ({"matches": "^x+$"}, "xx", True),
        ({"matches": "^x+$"}, "xy", False),
        ({"empty": True}, " ", True),
        ({"empty": False}, "x", True),
        ({"below": 2}, "1.5", True),
        ({"above": 2}, "2", False),
        ({"above": 2}, "text", False),
    ],
)
def test_filter_catches_what_it_says(tmp_path: Path, test: dict[str, Any], value: str, caught: bool) -> None:
    mapping = load_mapping("clickstream", tmp_path)
    found = [type(load_mapping("online-retail", tmp_path).filters[0])(reason="caught", column="device", **test)]
    assessed = assess(tmp_path, mapping.model_copy(update={"filters": found}), [GOOD | {"device": value}], ["P1"])
    assert assessed.to_pyarrow()["reasons"].to_pylist() == [["caught"] if caught else []]


def kept_and_repeated(assessed: Any) -> tuple[list[int], list[int]]:
    """Lines of the good rows that stay and of those that repeat one."""
    repeated = validation.duplicates(assessed)
    kept = validation.unique(assessed, repeated)
    return sorted(kept.to_pyarrow()["line"].to_pylist()), repeated.to_pyarrow()["line"].to_pylist()


def test_first_row_of_an_event_id_is_kept(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"user_id": ""}, GOOD, GOOD | {"device": "tablet"}, GOOD | {"event_id": "E2"}]
    assessed = assess(tmp_path, load_mapping("clickstream", tmp_path), rows, ["P1"])
    assert kept_and_repeated(assessed) == ([2, 6], [4, 5])  # line 3 is bad, so it is no duplicate


def test_rows_without_event_id_are_duplicates_only_if_identical(tmp_path: Path) -> None:
    rows = [INVOICE, INVOICE, INVOICE | {"Country": "France"}]
    assessed = assess(tmp_path, load_mapping("online-retail", tmp_path), rows, None)
    assert kept_and_repeated(assessed) == ([2, 4], [3])


def test_quarantine_keeps_the_row_as_it_came(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"user_id": "", "device": " phone "}]
    bad = validation.quarantine(assess(tmp_path, load_mapping("clickstream", tmp_path), rows, ["P1"]))
    assert bad.to_pyarrow().to_pylist() == [
        {"file": "f.csv", "line": 3, "reasons": ["missing user_id"], "text": None}
        | GOOD
        | {"user_id": "", "device": " phone "}
    ]
