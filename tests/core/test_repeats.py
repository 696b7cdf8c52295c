import numpy as np
import pytest

from pipelines.core import repeats
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
    by_minute = tables.piece(event(0), event(60), event(60))
    assert tables.rows(repeats.fine_days(by_minute)) == []
    assert repeated(tables, event(60), event(60), days=()) == []


def test_day_with_one_odd_second_knows_seconds(tables: Tables) -> None:
    other_day = event(24 * 3600)
    assert tables.rows(repeats.fine_days(tables.piece(event(0), event(61), other_day))) == [{"day": DAY}]


def test_fingerprint_is_equal_for_repeats(tables: Tables) -> None:
    piece = tables.piece(event(5), event(5), event(5, item="b"), event(5, kind="purchase"))
    prints = {row["n"]: row["h"] for row in tables.rows(repeats.fingerprint(piece, 1))}
    assert prints[0] == prints[1] != prints[2]
    assert 3 not in prints


@pytest.mark.parametrize(("least", "found"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (4, []), (9, [])])
def test_frequent(least: int, found: list[int]) -> None:
    assert repeats.frequent(np.array([3, 2, 3, 1, 2, 3]), least).tolist() == found
