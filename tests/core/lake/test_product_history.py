"""What was known of an item at a moment, by states computed by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.columns import PRODUCT_SCHEMA
from pipelines.core.lake.product_history import STATE, as_of, history
from pipelines.io import duck

FIRST, SECOND, THIRD = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
TICK = timedelta(microseconds=1)


def state(item_id: str, price: float, **fields: Any) -> dict[str, Any]:
    return dict.fromkeys(STATE) | {"item_id": item_id, "title": "T", "price": price, "in_stock": True} | fields


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return [(row["item_id"], row["valid_from"], row["price"], row["in_stock"]) for row in table.to_pylist()]


def test_history_has_a_row_where_an_item_changed() -> None:
    a, b, cheaper = state("a", 2.0), state("b", 3.0), state("a", 1.0)
    found = history([(FIRST, [a, b]), (SECOND, [cheaper]), (THIRD, [cheaper, b])])
    assert found.schema == PRODUCT_SCHEMA
    assert rows(found) == [
        ("a", FIRST, 2.0, True),
        ("a", SECOND, 1.0, True),
        ("b", FIRST, 3.0, True),
        ("b", SECOND, 3.0, False),
        ("b", THIRD, 3.0, True),
    ]


def test_history_says_once_that_an_item_is_gone() -> None:
    found = history([(FIRST, [state("a", 1.0)]), (SECOND, []), (THIRD, [])])
    assert rows(found) == [("a", FIRST, 1.0, True), ("a", SECOND, 1.0, False)]


def test_history_of_two_snapshots_of_one_moment_has_the_later() -> None:
    found = history([(FIRST, [state("a", 1.0), state("b", 1.0)]), (FIRST, [state("a", 2.0), state("b", 1.0)])])
    assert rows(found) == [("a", FIRST, 2.0, True), ("b", FIRST, 1.0, True)]


def test_history_of_nothing_is_empty() -> None:
    assert history([]).equals(PRODUCT_SCHEMA.empty_table())
    assert history([(FIRST, [])]).equals(PRODUCT_SCHEMA.empty_table())


def test_history_takes_a_snapshot_when_the_one_before_is_done() -> None:
    alive = []

    def snapshot(number: int) -> Any:
        alive.append(number)
        yield state("a", number)
        alive.remove(number)

    def snapshots() -> Any:
        for number in range(3):
            assert alive == []
            yield FIRST + timedelta(days=number), snapshot(number)

    assert len(history(snapshots())) == 3


@pytest.fixture
def products(tmp_path: Path) -> Any:
    """Item a costs 2 from the first day and 1 from the third; item b comes on the second day."""
    given = [state("a", 2.0, valid_from=FIRST), state("a", 1.0, valid_from=THIRD), state("b", 5.0, valid_from=SECOND)]
    pq.write_table(pa.Table.from_pylist(given, PRODUCT_SCHEMA), tmp_path / "products.parquet")
    return duck.connect("500MB", threads=1).read_parquet(str(tmp_path / "products.parquet"))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (FIRST - TICK, {}),
        (FIRST, {"a": 2.0}),
        (SECOND - TICK, {"a": 2.0}),
        (SECOND, {"a": 2.0, "b": 5.0}),
        (THIRD - TICK, {"a": 2.0, "b": 5.0}),
        (THIRD, {"a": 1.0, "b": 5.0}),
    ],
)
def test_catalogue_as_of_a_moment(products: Any, moment: datetime, expected: dict[str, float]) -> None:
    found = as_of(products, moment).to_pyarrow().to_pylist()
    assert {row["item_id"]: row["price"] for row in found} == expected
    assert all(row["valid_from"] <= moment for row in found)


def test_catalogue_as_of_a_moment_in_another_zone(products: Any) -> None:
    moment = datetime.fromisoformat("2026-01-03T00:30:00+01:00")  # half past 11 of the day before
    assert as_of(products, moment).to_pyarrow()["price"].to_pylist() == [2.0, 5.0]


def test_first_state_counts_back_where_it_is_asked_to(products: Any) -> None:
    found = as_of(products, FIRST - timedelta(days=300), first_counts_back=True).to_pyarrow().to_pylist()
    assert [(row["item_id"], row["price"], row["valid_from"]) for row in found] == [
        ("a", 2.0, FIRST),
        ("b", 5.0, SECOND),
    ]
    assert as_of(products, THIRD, first_counts_back=True).to_pyarrow()["price"].to_pylist() == [1.0, 5.0]
