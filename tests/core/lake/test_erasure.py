from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipelines.core.columns import UTC_US
from pipelines.core.lake.erasure import Erased, user_hash

ERASED = datetime(2026, 2, 3, 12, tzinfo=UTC)


def erased(*users: str) -> Erased:
    return Erased({user_hash(user): ERASED for user in users})


def rows(out: Erased, *pairs: tuple[str | None, datetime | None]) -> list[bool]:
    users, times = zip(*pairs, strict=True)
    return out.rows(pa.chunked_array([users], pa.string()), pa.chunked_array([times], UTC_US)).tolist()


def test_rows_of_erased_users_up_to_the_erasure_are_left_out() -> None:
    later = ERASED.replace(microsecond=1)
    pairs = [("a", ERASED), ("a", later), ("b", ERASED), (None, ERASED), ("a", None), ("b", None)]
    assert rows(erased("a"), *pairs) == [True, False, False, False, True, False]


def test_found_are_those_whose_rows_there_were() -> None:
    out = erased("a", "b", "c")
    rows(out, ("a", ERASED), ("b", ERASED.replace(day=4)), ("d", ERASED))
    assert out.found == {user_hash("a")}


@pytest.mark.parametrize("line", ["a,P1,view", 'x;"a";3', "  a\tP1", "P1|a"])
def test_line_that_can_not_be_split_is_known_by_its_words(line: str) -> None:
    out = erased("a")
    assert out.lines(pa.chunked_array([[None, line, "ab,P1,view"]], pa.string())).tolist() == [False, True, False]
    assert out.found == {user_hash("a")}


def test_digest_is_of_what_was_left_out() -> None:
    one, other, nothing = erased("a", "b"), erased("a", "c"), erased("a")
    rows(one, ("a", ERASED))
    rows(other, ("a", ERASED))
    assert one.digest == other.digest != nothing.digest == ""
    later = Erased({user_hash("a"): ERASED.replace(hour=13)})
    rows(later, ("a", ERASED))
    assert later.digest != one.digest
