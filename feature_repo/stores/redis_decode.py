"""What Redis holds of features back into NumPy columns: many values at a time, from Arrow buffers."""

import math
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import NULL_TIMESTAMP_INT_VALUE, feast_value_type_to_python_type
from feast.value_type import ValueType

from feature_repo.stores.redis_values import ARROW, TEXTUAL, tag

Column = np.ndarray[Any, Any]

NUMERIC: Final = ARROW.keys() - TEXTUAL
"""What is read as float64."""

_VARINTS: Final = [tag(kind)[0] for kind in NUMERIC - {ValueType.FLOAT, ValueType.DOUBLE}]
_DOUBLE, _FLOAT, _STRING = (tag(kind)[0] for kind in (ValueType.DOUBLE, ValueType.FLOAT, ValueType.STRING))
_EIGHT, _FOUR = struct.Struct("<d"), struct.Struct("<f")
_LONGEST: Final = 11  # bytes of a number: its tag and a varint


def numbers(values: Sequence[bytes | None]) -> Column:
    """Serialized numeric ``Value``s as float64 [n]; NaN for null, and for None, which Redis answers of a missing one.

    Raises:
        ValueError: one of them isn't a number.
    """
    places, lengths = _bytes_by_place(values, _LONGEST)
    tags, found = places[0], np.full(len(values), np.nan)
    double, single, whole = tags == _DOUBLE, tags == _FLOAT, np.isin(tags, _VARINTS)
    found[double] = np.ascontiguousarray(places[1:9, double].T).view("<f8").ravel()
    found[single] = np.ascontiguousarray(places[1:5, single].T).view("<f4").ravel()
    integers = _varints(places[1:, whole])
    found[whole] = np.where(integers == NULL_TIMESTAMP_INT_VALUE, np.nan, integers)
    for at in np.flatnonzero((lengths > 0) & ~(double | single | whole)).tolist():
        if (kind := Value.FromString(values[at]).WhichOneof("val")) not in (None, "null_val"):
            raise ValueError(f"Redis holds a {kind} where a number is declared: materialize the view again")
    return found


def number(value: bytes | None) -> float:
    """One serialized numeric ``Value`` as ``numbers`` reads it; of few values this is the quicker way."""
    if not value:
        return math.nan
    kind = value[0]
    if kind == _DOUBLE:
        return float(_EIGHT.unpack_from(value, 1)[0])
    if kind == _FLOAT:
        return float(_FOUR.unpack_from(value, 1)[0])
    if kind not in _VARINTS:
        return float(numbers([value])[0])
    whole = 0
    for place, part in enumerate(value[1:]):
        whole |= (part & 127) << 7 * place
    whole -= (whole >> 63) << 64
    return math.nan if whole == NULL_TIMESTAMP_INT_VALUE else float(whole)


def objects(values: Sequence[bytes | None]) -> Column:
    """Serialized ``Value``s as what Feast makes of them in Python, object [n]; None for null and for a missing one."""
    found = np.empty(len(values), object)
    found[:] = [_object(value) for value in values]
    return found


def timestamps(values: Sequence[bytes | None]) -> Column:
    """Serialized ``Timestamp``s as datetime64[us], UTC [n]; NaT for None. Parts of a microsecond are cut off."""
    places, lengths = _bytes_by_place(values, 2 * _LONGEST)
    n, columns = len(values), np.arange(len(values))
    seconds, nanos = np.zeros(n, np.int64), np.zeros(n, np.int64)
    at = np.zeros(n, np.int64)
    for field, into in ((0x08, seconds), (0x10, nanos)):
        here = places[at, columns] == field
        body = np.where(here, places[np.minimum(at + 1 + np.arange(10)[:, None], len(places) - 1), columns], 0)
        ends = np.argmax(body < 128, axis=0)
        into[:] = _varints(np.where(np.arange(10)[:, None] <= ends, body, 0))
        at += np.where(here, ends + 2, 0)
    micros = seconds * 10**6 + nanos // 1000
    return np.where(lengths < 0, np.datetime64("NaT", "us"), micros.view("M8[us]"))


def _object(value: bytes | None) -> Any:
    if not value:
        return None
    if value[0] == _STRING and len(value) < 130:
        return value[2:].decode()
    return feast_value_type_to_python_type(Value.FromString(value))


def _bytes_by_place(values: Sequence[bytes | None], width: int) -> tuple[Column, Column]:
    """Byte i of each value, uint8 [width, n], 0 behind its end; and the lengths [n], -1 for None."""
    array = pa.array(values, pa.binary())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(values) + 1)
    lengths = np.diff(bounds)
    held = np.zeros(bounds[-1] + width, np.uint8)
    held[: bounds[-1]] = np.frombuffer(data or b"", np.uint8, bounds[-1])
    places = np.zeros((width, len(values)), np.uint8)
    for place in range(min(width, int(lengths.max(initial=0)))):
        np.multiply(held[bounds[:-1] + place], lengths > place, out=places[place])
    return places, np.where(array.is_null().to_numpy(zero_copy_only=False), -1, lengths)


def _varints(places: Column) -> Column:
    """The integers [n] of varints whose byte i is ``places[i]``, 0 behind their end."""
    found = np.zeros(places.shape[1], np.uint64)
    for place in places[::-1]:
        found <<= np.uint64(7)
        found |= place & np.uint8(127)
    return found.view(np.int64)
