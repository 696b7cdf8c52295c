from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pipelines.io.intake.moments import moments, seconds

MOMENT = datetime(2011, 12, 9, 8, 26, 0, 250000, tzinfo=UTC)
EPOCH = MOMENT.timestamp()


def _seconds(values: Any, kind: pa.DataType | None = None) -> list[float]:
    return seconds(*moments(pa.chunked_array([pa.array(values, kind)]))).tolist()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_moments_of_timestamps(unit: str, zone: str | None) -> None:
    value = MOMENT if zone else MOMENT.replace(tzinfo=None)
    assert _seconds([value], pa.timestamp(unit, zone)) == [EPOCH]


def test_moments_of_dates_are_their_midnights() -> None:
    midnight = datetime(2011, 12, 9, tzinfo=UTC).timestamp()
    assert _seconds([date(2011, 12, 9)]) == [midnight]
    assert _seconds([date(2011, 12, 9)], pa.date64()) == [midnight]


@pytest.mark.parametrize(
    "text",
    [
        "2011-12-09T08:26:00.25Z", "2011-12-09 08:26:00.250", "2011-12-09T08:26:00.250000000",
        " 2011-12-09 08:26:00.25", "2011-12-09T10:26:00.25+02:00", "2011-12-09 03:26:00.25-0500",
        "2011-12-09T08:26:00.25+00", str(EPOCH),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_moments_of_text(text: str, kind: pa.DataType) -> None:
    assert _seconds([text, text], kind) == [EPOCH] * 2


def test_moments_of_text_with_and_without_a_zone() -> None:
    days = ["2011-12-09", "2011-12-09T01:00+01:00", "2011-12-09 00:00", "2011-12-09T00:00:00Z"]
    assert _seconds(days) == [datetime(2011, 12, 9, tzinfo=UTC).timestamp()] * 4


@pytest.mark.parametrize("a_second", [1, 10**3, 10**6, 10**9])
def test_moments_of_numbers_by_their_size(a_second: int) -> None:
    whole = int(EPOCH) * a_second
    assert _seconds([whole]) == [int(EPOCH)]
    assert _seconds([float(whole)]) == [int(EPOCH)]
    assert _seconds([Decimal(whole)]) == [int(EPOCH)]


def test_moments_of_numbers_keep_fractions_of_a_second() -> None:
    assert _seconds([EPOCH]) == [EPOCH]


def test_moments_in_nanoseconds_stay_on_their_side_of_midnight() -> None:
    midnight = int(datetime(2011, 12, 9, tzinfo=UTC).timestamp())
    (before, at) = _seconds([midnight * 10**9 - 1, midnight * 10**9], pa.timestamp("ns"))
    assert before < at == midnight


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["2011-12-09", "yesterday"], "'yesterday'"),
        (["09/12/2011"], "'09/12/2011'"),
        ([True], "bool"),
        ([1.0, float("inf")], "infinite"),
    ],
)
def test_moments_refuses_what_is_none(values: list[Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        _seconds(values)
