"""Every kind of bad row gets its reasons, all of them; good rows become canonical."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest

from pipelines.core.columns import UTC_US
from pipelines.core.lake import validation
from pipelines.core.lake.mapping import Filter, Format, SourceMapping, Timestamp
from pipelines.io.intake.sources import load_mapping

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


def assess(mapping: SourceMapping, rows: list[dict[str, str | None]], items: list[str] | None) -> list[dict[str, Any]]:
    """Assessed ``rows``, each a line of one file from line 2 on, with their ``reasons``."""
    names = [name for name in rows[0] if name != "text"]
    raw = {f"raw:{name}": pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    text = pa.array([row.get("text") for row in rows], pa.string())
    arrived = pa.array([ARRIVED] * len(rows), UTC_US)
    given = validation.trimmed(pa.table({"line": range(2, len(rows) + 2), "text": text, "arrived": arrived} | raw))
    expression = validation.assess(
        ibis.table(ibis.Schema.from_pyarrow(given.schema), name="given"),
        mapping,
        None if items is None else ibis.table({"item_id": "string"}, name="known"),
    )
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("given", given)
        con.register("known", pa.table({"item_id": pa.array(items or [], pa.string())}))
        assessed = con.sql(ibis.to_sql(expression, dialect="duckdb")).to_arrow_table().sort_by("line")
    reasons = validation.explain(assessed["wrong"].to_numpy(), validation.reasons(mapping))
    found: list[dict[str, Any]] = assessed.append_column("reasons", reasons).to_pylist()
    return found


def clickstream(*rows: dict[str, str | None], **mapping: Any) -> list[dict[str, Any]]:
    changed = load_mapping("clickstream", Path()).model_copy(update=mapping)
    return assess(changed, list(rows), ["P1", "P2"])


def test_good_row_becomes_canonical() -> None:
    (row,) = clickstream(GOOD | {"user_id": " U1 ", "event_type": "Purchase", "quantity": "2", "price": "9.5"})
    assert row["reasons"] == []
    assert (row["event_id"], row["user_id"], row["item_id"], row["event_type"]) == ("E1", "U1", "P1", "purchase")
    assert (row["quantity"], row["price"], row["session_id"]) == (2, 9.5, "S1")
    assert row["timestamp"] == datetime(2026, 1, 10, 10, tzinfo=UTC)


def test_absent_quantity_is_one_and_absent_price_stays_null() -> None:
    (row,) = clickstream(GOOD)
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
def test_bad_row_gets_every_reason(change: dict[str, str], reasons: list[str]) -> None:
    good, bad = clickstream({**GOOD, "text": None}, {**GOOD, **change})
    assert good["reasons"] == []
    assert bad["reasons"] == reasons


@pytest.mark.parametrize("given", ["2026-01-10 10:00:00", "2026-01-10T12:00:00+02:00", "2026-01-10T10:00:00.000Z"])
def test_iso_time_knows_its_offset_or_is_in_the_mapping_zone(given: str) -> None:
    (row,) = clickstream(GOOD | {"timestamp": given})
    assert row["timestamp"] == datetime(2026, 1, 10, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ({"format": "epoch_s"}, "1768039200"),
        ({"format": "epoch_ms"}, "1768039200000"),
        ({"format": ["%Y-%m-%d", "%d/%m/%Y %H:%M"], "timezone": "Europe/Berlin"}, "10/01/2026 11:00"),
    ],
)
def test_time_is_read_in_the_mapping_format(rule: dict[str, Any], given: str) -> None:
    (row,) = clickstream(GOOD | {"timestamp": given}, timestamp=Timestamp(column="timestamp", **rule))
    assert row["timestamp"] == datetime(2026, 1, 10, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2025-03-30 00:59:59", "2025-03-30 00:59:59"),  # London, the last second of winter time
        ("2025-03-30 01:30:00", "2025-03-30 01:30:00"),  # which no clock showed: read as winter time
        ("2025-03-30 02:00:00", "2025-03-30 01:00:00"),  # the first second of summer time
        ("2025-10-26 00:59:59", "2025-10-25 23:59:59"),
        ("2025-10-26 01:30:00", "2025-10-26 01:30:00"),  # which clocks showed twice: read as winter time
        ("2025-10-26T01:30:00+01:00", "2025-10-26 00:30:00"),  # an offset says which
        ("2025-10-26 02:00:00", "2025-10-26 02:00:00"),
    ],
)
def test_summer_time_begins_and_ends(local: str, utc: str) -> None:
    (row,) = clickstream(GOOD | {"timestamp": local}, timestamp=Timestamp(column="timestamp", timezone="Europe/London"))
    assert row["timestamp"] == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(("given", "price"), [("9,50", 9.5), ("1.234,50", 1234.5), ("7", 7.0), ("x", None)])
def test_decimal_comma(given: str, price: float | None) -> None:
    (row,) = clickstream(GOOD | {"price": given}, format=Format(decimal=","))
    assert row["price"] == price
    assert row["reasons"] == ([] if price else ["price is not a number"])


def test_online_retail_rows_by_their_rules() -> None:
    rows = [
        INVOICE,
        INVOICE | {"InvoiceDate": "2011-07-01 12:00:00"},  # summer time: an hour before UTC's clock
        INVOICE | {"CustomerID": ""},
        INVOICE | {"InvoiceNo": "C536379", "Quantity": "-1"},
        INVOICE | {"Quantity": "-1"},
        INVOICE | {"StockCode": "POST"},
        INVOICE | {"StockCode": "gift_0001_20", "CustomerID": ""},
    ]
    found = assess(load_mapping("online-retail", Path()), rows, None)
    assert [row["reasons"] for row in found] == [
        [],
        [],
        ["missing user_id"],
        [],
        ["quantity below 1"],
        ["not a product"],
        ["not a product", "missing user_id"],
    ]
    assert [(row["is_cancellation"], row["quantity"]) for row in found[3:5]] == [(True, 1), (False, -1)]
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
def test_filter_catches_what_it_says(test: dict[str, Any], value: str, caught: bool) -> None:
    (row,) = clickstream(GOOD | {"device": value}, filters=[Filter(reason="caught", column="device", **test)])
    assert row["reasons"] == (["caught"] if caught else [])


def test_row_without_event_id_is_named_by_its_columns() -> None:
    rows = [INVOICE, INVOICE | {"InvoiceNo": " 536365 "}, INVOICE | {"Country": "France"}]
    first, spaced, other = (row["event_id"] for row in assess(load_mapping("online-retail", Path()), rows, None))
    assert first == spaced != other
    assert len(first) == 20


def test_repaired_row_is_named_as_if_it_had_come_like_that() -> None:
    mapping = load_mapping("online-retail", Path())
    (plain,) = assess(mapping, [INVOICE], None)
    (repair,) = assess(mapping, [INVOICE | {"_file": "2010/12/01/clickstream.csv", "_line": "7"}], None)
    assert repair["event_id"] == plain["event_id"]
