"""Columns of moments in the forms in which logs have them."""

import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Arrow's names for units of time, and how many of each are in a second."""
LARGEST_SECONDS: Final = 10**11
"""A number up to this is in seconds (until the year 5138), up to a thousand times this in milliseconds, and so on."""
WITH_ZONE: Final = r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$"


def moments(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """(int64 or float64 [n], how many of its unit are in a second) of a column without nulls; without a zone: UTC.

    Timestamps, dates, ISO 8601 as text, and numbers since 1970, whose unit their size tells.

    Raises:
        ValueError: it is none of these; the text says what it is instead.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _of_text(column)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        return _numbers(column.cast(pa.int64())), UNITS[column.type.unit]
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _of_numbers(column)
    raise ValueError(f"of type {kind}, neither a timestamp nor a date, ISO 8601 text or a number since 1970")


def seconds(values: np.ndarray, a_second: int) -> np.ndarray:
    """float64 [n] seconds of moments in a unit; of nanoseconds whole microseconds, which is as fine as float64 can be.

    Rounding down: the last nanosecond of a day stays in that day.
    """
    finest = UNITS["us"]
    if a_second > finest and values.dtype.kind == "i":
        values, a_second = values // (a_second // finest), finest
    return values / float(a_second)


def _of_text(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    column = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    zoned = pc.match_substring_regex(column, WITH_ZONE)
    nothing = pa.scalar(None, column.type)
    try:
        with_zone = pc.if_else(zoned, column, nothing).cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
        without = pc.if_else(zoned, nothing, column).cast(pa.timestamp("ns")).cast(pa.int64())
    except pa.ArrowInvalid as error:
        try:
            return _of_numbers(column.cast(pa.float64()))
        except pa.ArrowInvalid:
            shown = re.search(r"string: ('.*?') as", str(error))
            example = shown.group(1) if shown else repr(column[0].as_py())
            raise ValueError(f"{example} somewhere, which is no ISO 8601") from None
    return _numbers(pc.coalesce(with_zone, without)), UNITS["ns"]


def _of_numbers(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    whole = pa.types.is_integer(column.type)
    values = _numbers(column.cast(pa.int64() if whole else pa.float64()))
    if not np.isfinite(values).all():
        raise ValueError("infinite in some rows")
    size = float(np.median(np.abs(values)))
    for a_second in UNITS.values():
        if size < LARGEST_SECONDS * a_second:
            break
    return values, a_second


def _numbers(column: Any) -> np.ndarray:
    values: np.ndarray = column.to_numpy()
    return values
