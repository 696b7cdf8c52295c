import numpy as np
import pytest

from pipelines.core.lake import repeats
from tests.core.engine import Tables, event

DAY = 20_458  # January 5th, 2026, counted from 1970


@pytest.fixture
def tables() -> Tables:
    return Tables()


def repeated(tables: Tables, *events: dict[str, object], seconds: int = 1, days: tuple[int, ...] = (DAY,)) -> list[int]:
    fine = tables.known("fine", [{"day": day} for day in days], {"day": "int64"})
    return sorted(row["n"] for row in tables.rows(repeats.repeats(tables.piece(*events), fine, seconds)))


def test_same_look_in_a_second_repeats_the_first(tables: Tables) -> None:
    assert repeated(tables, event(5.1, event_id="1"), event(5.9, event_id="2"), event(5.9, event_id="3")) == [1, 2]


@pytest.mark.parametrize(
    "other", [{"user": "v"}, {"item": "b"}, {"kind": "click"}, {"quantity": 2}, {"price": 1.0}, {"seconds": 6}]
)
def test_look_that_differs_is_another(tables: Tables, other: dict[str, object]) -> None:
    assert repeated(tables, event(5), event(**({"seconds": 5} | other))) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["purchase", "add_to_cart", "remove_from_cart"])
def test_lines_of_an_invoice_never_repeat(tables: Tables, kind: str) -> None:
    assert repeated(tables, event(5, kind=kind), event(5, kind=kind)) == []


def test_wider_stretch_is_that_of_the_clock(tables: Tables) -> None:
    assert repeated(tables, event(9), event(10), event(19), event(20), seconds=10) == [2]


def test_log_by_the_minute_has_no_repeats(tables: Tables) -> None:
    assert repeats.fine_days(np.array([0, 60, 60]) + DAY * 86_400).tolist() == []
    assert repeated(tables, event(60), event(60), days=()) == []


def test_day_with_one_odd_second_knows_seconds() -> None:
    assert repeats.fine_days(np.array([0, 61, 86_400]) + DAY * 86_400).tolist() == [DAY]


@pytest.mark.parametrize(("least", "rows"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 1, 2, 4]), (3, [0, 2, 4]), (4, [])])
def test_shared_finds_rows_of_equal_numbers(least: int, rows: list[int]) -> None:
    first, second = np.array([7, 3, 7, 7, 7, 8]), np.array([1, 2, 1, 2, 1, 1])
    second[1] = 2
    first[3] = 3  # rows: (7, 1) three times, (3, 2) twice, (8, 1) once
    found = repeats.shared(least, first, second)
    assert np.flatnonzero(found).tolist() == sorted(rows + ([3] if least == 2 else []))


def test_shared_of_fewer_rows_than_asked_for_is_nobody() -> None:
    assert repeats.shared(5, np.array([1, 1])).tolist() == [False, False]
    assert repeats.shared(2, np.array([], np.int64)).tolist() == []
