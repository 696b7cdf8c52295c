"""Digests of days."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipelines.core.columns import UTC_US
from pipelines.core.features.digests import DayDigests

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = pa.schema([("timestamp", UTC_US), ("user", pa.string()), ("price", pa.float64()), ("bot", pa.bool_())])


def table(*rows: tuple[float, str | None, float | None, bool]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"timestamp": START + timedelta(days=d), "user": u, "price": p, "bot": b} for d, u, p, b in rows], SCHEMA
    )


def digests(*tables: pa.Table) -> dict[str, str]:
    found = DayDigests("timestamp", SCHEMA.names)
    for rows in tables:
        found.add(rows)
    return found.digests()


ROWS = table((0.1, "ab", 1.0, False), (0.2, None, None, True), (1.1, "c", 2.0, False), (3.0, "ab", 0.0, False))


def test_digests_name_the_days_that_have_rows() -> None:
    assert list(digests(ROWS)) == ["2026-01-01", "2026-01-02", "2026-01-04"]
    assert digests(ROWS.slice(0, 0)) == {}


@pytest.mark.parametrize("cut", range(5))
def test_digests_do_not_depend_on_cuts_and_dictionaries(cut: int) -> None:
    coded = ROWS.set_column(1, "user", ROWS["user"].dictionary_encode())
    chunked = pa.concat_tables([ROWS.slice(0, cut), ROWS.slice(cut)])
    assert digests(ROWS.slice(0, cut), ROWS.slice(cut)) == digests(chunked) == digests(coded) == digests(ROWS)


@pytest.mark.parametrize(
    "other",
    [
        (0.3, "ab", 1.0, False), (0.1, "a", 1.0, False), (0.1, None, 1.0, False), (0.1, "ab", None, False),
        (0.1, "ab", 1.5, False), (0.1, "ab", 1.0, True),
    ],
)  # fmt: skip
def test_digest_changes_with_each_value_and_the_others_stay(other: Any) -> None:
    changed, before = digests(table(other), ROWS.slice(1)), digests(ROWS)
    assert [day for day in before if changed[day] != before[day]] == ["2026-01-01"]


@pytest.mark.parametrize(
    ("some", "others"),
    [(("ab", "c"), ("a", "bc")), (("a", None), (None, "a")), (("a", ""), ("a", None)), (("a", "b"), ("b", "a"))],
)
def test_digest_tells_where_values_begin_and_which_is_which(some: Any, others: Any) -> None:
    one, other = (table(*((0.5, user, 1.0, False) for user in users)) for users in (some, others))
    assert digests(one) != digests(other)
