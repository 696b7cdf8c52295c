import math

import numpy as np
import pytest

from pipelines.core.lake import flags
from tests.core.engine import Tables, event

LIMITS = {"a_day": 5, "a_minute": 3, "hours": 4}


@pytest.fixture
def tables() -> Tables:
    return Tables()


def bots(tables: Tables, *events: dict[str, object]) -> list[tuple[str, int]]:
    found = tables.rows(flags.bots(tables.piece(*events), **LIMITS))
    return sorted((row["user_id"], row["day"]) for row in found)


def test_more_looks_a_day_than_allowed(tables: Tables) -> None:
    six = [event(n * 100) for n in range(6)]
    assert bots(tables, *six[:5]) == []
    assert bots(tables, *six) == [("u", 20_458)]


def test_more_looks_a_minute_than_allowed(tables: Tables) -> None:
    assert bots(tables, *(event(n) for n in range(3))) == []
    assert bots(tables, *(event(n) for n in range(4))) == [("u", 20_458)]
    assert bots(tables, event(58), event(59), event(60), event(61)) == []  # two minutes of the clock


def test_looks_in_too_many_hours(tables: Tables) -> None:
    assert bots(tables, *(event(n * 3600) for n in range(3))) == []
    assert bots(tables, *(event(n * 3600) for n in range(4))) == [("u", 20_458)]


def test_days_and_users_are_told_apart(tables: Tables) -> None:
    today, tomorrow = [event(n) for n in range(2)], [event(86_400 + n) for n in range(2)]
    assert bots(tables, *today, *(event(n, user="v") for n in range(2)), *tomorrow) == []


def test_purchases_are_no_browsing(tables: Tables) -> None:
    assert bots(tables, *(event(n, kind="purchase") for n in range(20))) == []


def test_flag_covers_every_event_of_the_day_and_no_other(tables: Tables) -> None:
    piece = tables.piece(event(0, kind="purchase"), event(1), event(1, user="v"), event(86_400))
    marked = tables.known("bots", [{"user_id": "u", "day": 20_458}], {"user_id": "string", "day": "int64"})
    assert sorted(row["n"] for row in tables.rows(flags.of_bots(piece, marked))) == [0, 1]


def test_median_is_one_of_the_prices_and_never_zero(tables: Tables) -> None:
    columns = {"item_id": "string", "price": "float64", "count": "int64"}
    rows = [("a", 1.0, 2), ("a", 5.0, 1), ("a", 9.0, 3), ("b", 0.0, 9), ("c", 4.0, 1), ("c", 9.0, 1), ("c", 9.0, 1)]
    prices = tables.known("prices", [dict(zip(columns, row, strict=True)) for row in rows], columns)
    found = {row["item_id"]: row["median"] for row in tables.rows(flags.medians(prices))}
    assert found == {"a": 5.0, "c": 9.0}  # of six the third; of three the second


def test_fence_is_tukeys_in_logarithms() -> None:
    quantities = {1: 1, 2: 1, 4: 1, 8: 1}  # quartiles 1 and 4: log range log 4
    assert flags.fence(quantities, 1.5) == pytest.approx(4 * 4**1.5)


def test_fence_of_single_pieces_allows_a_factor_of_two() -> None:
    assert flags.fence({1: 99, 2: 1}, 3) == 8


def test_fence_of_nothing_is_none() -> None:
    assert flags.fence({}, 3) == math.inf


NAN = math.nan


@pytest.mark.parametrize(
    ("quantity", "price", "median", "found"),
    [
        (8, NAN, 10, False),
        (9, NAN, NAN, True),
        (1, 100, 10, False),
        (1, 101, 10, True),
        (1, 1, 10, False),
        (1, 0.9, 10, True),
        (9, 0.9, 10, True),
        (1, 1e6, NAN, False),
        (1, NAN, 10, False),
    ],
)
def test_outliers(quantity: int, price: float, median: float, found: bool) -> None:
    assert flags.outliers(np.array([quantity]), np.array([price]), np.array([median]), 8.0, 10.0).tolist() == [found]


def test_no_fence_stops_no_quantity() -> None:
    found = flags.outliers(np.array([10**6]), np.array([NAN]), np.array([NAN]), math.inf, 10.0)
    assert found.tolist() == [False]
