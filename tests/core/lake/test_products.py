"""The catalogue's two origins: an API's snapshots and the log itself."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.columns import PRODUCT_SCHEMA, UTC_US
from pipelines.core.lake.products import check_product, from_log
from pipelines.io import duck, tables

FAKESTORE = {
    "id": 1,
    "title": "Backpack",
    "price": 109.95,
    "description": "Fits 15 inches",
    "category": "men's clothing",
    "image": "https://shop.example/1.jpg",
    "rating": {"rate": 3.9, "count": 120},
}


def test_product_in_fakestore_shape() -> None:
    product, reasons = check_product(FAKESTORE)
    assert reasons == []
    assert product == {
        "item_id": "1",
        "title": "Backpack",
        "category": "men's clothing",
        "price": 109.95,
        "description": "Fits 15 inches",
        "image": "https://shop.example/1.jpg",
        "rating_rate": 3.9,
        "rating_count": 120,
        "in_stock": True,
    }


def test_product_in_dummyjson_shape() -> None:
    given = {"id": 7, "title": "Mascara", "price": 9.99, "rating": 4.94, "stock": 0, "thumbnail": "https://t.example"}
    product, reasons = check_product(given)
    assert reasons == []
    assert (product["rating_rate"], product["rating_count"], product["in_stock"]) == (4.94, None, False)
    assert product["image"] == "https://t.example"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "missing id"),
        ({"title": " "}, "missing title"),
        ({"price": "ask us"}, "price is not a number"),
        ({"price": -1}, "negative price"),
        ({"price": 10**400}, "price is not a number"),
        ({"rating": {"rate": 9}}, "rating is not between 0 and 5"),
        ({"id": {"$oid": "1"}}, "id is neither text nor a number"),
        ({"id": True}, "id is neither text nor a number"),
        ({"id": float("nan")}, "id is neither text nor a number"),
        ({"title": ["Backpack"]}, "title is not text"),
        ({"category": {"name": "bags"}}, "category is not text"),
        ({"rating": {"rate": 4, "count": "many"}}, "rating count is not a number"),
        ({"stock": "plenty"}, "stock is not a number"),
        ({"in_stock": "yes"}, "in_stock is neither true nor false"),
    ],
)
def test_bad_product_gets_its_reason(change: dict[str, Any], reason: str) -> None:
    assert check_product(FAKESTORE | change)[1] == [reason]


@pytest.mark.parametrize("given", [None, "Backpack", 3, [FAKESTORE]])
def test_entry_that_is_no_object_gets_its_reason(given: Any) -> None:
    assert check_product(given)[1] == ["not an object"]


def test_product_with_several_faults_gets_all_reasons() -> None:
    assert check_product({"id": [], "price": -1})[1] == [
        "id is neither text nor a number",
        "missing title",
        "negative price",
    ]


def test_catalogue_from_the_log_knows_each_day_what_the_days_before_it_showed(tmp_path: Path) -> None:
    rows = [  # item, day, hour, title, price
        ("a", 1, 9, "LAMP", "2.00"),
        ("a", 1, 10, "LAMP", "2.50"),  # the last price of the day
        ("a", 1, 11, "", "0"),  # a gift is no price
        ("a", 2, 9, "LAMP", "2.50"),  # nothing changes
        ("a", 4, 9, "BIG LAMP", "2.50"),  # 3 to 1 for LAMP
        ("a", 5, 9, "BIG LAMP", "2.50"),
        ("a", 5, 10, "BIG LAMP", "2.50"),  # 3 to 3: the first by alphabet
        ("b", 3, 9, "", "0"),  # neither title nor price
        ("b", 6, 9, "CUP", "1"),
    ]
    table = pa.table(
        {
            "item_id": [row[0] for row in rows],
            "timestamp": pa.array([datetime(2026, 1, row[1], row[2], tzinfo=UTC) for row in rows], UTC_US),
            "file": ["f"] * len(rows),
            "line": list(range(len(rows))),
            "raw:T": [row[3] for row in rows],
            "raw:P": [row[4] for row in rows],
        }
    )
    pq.write_table(table, tmp_path / "good.parquet")
    good = duck.connect("500MB", threads=1).read_parquet(str(tmp_path / "good.parquet"))
    found = pa.concat_tables(tables.batches(from_log(good, "raw:T", "raw:P"), PRODUCT_SCHEMA)).to_pylist()
    assert [(row["item_id"], row["valid_from"].day, row["title"], row["price"]) for row in found] == [
        ("a", 2, "LAMP", 2.5),
        ("a", 6, "BIG LAMP", 2.5),
        ("b", 4, "b", None),
        ("b", 7, "CUP", 1.0),
    ]
    assert {row["category"] for row in found} == {None}
