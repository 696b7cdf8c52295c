"""Feast's ``Value`` and ``Timestamp`` messages from Arrow arrays, without a message a value."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import NULL_TIMESTAMP_INT_VALUE, python_values_to_proto_values
from feast.value_type import ValueType
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]

from feature_repo.stores.redis_wire import joined, packed, sized, varints

ARROW: Final = {
    ValueType.INT32: pa.int32(),
    ValueType.INT64: pa.int64(),
    ValueType.FLOAT: pa.float32(),
    ValueType.DOUBLE: pa.float64(),
    ValueType.BOOL: pa.bool_(),
    ValueType.STRING: pa.string(),
    ValueType.BYTES: pa.binary(),
    ValueType.UNIX_TIMESTAMP: pa.int64(),  # seconds
}
"""What is encoded here, alone and in arrays -> what its values are cast to."""

LISTS: Final = {ValueType[f"{kind.name}_LIST"]: kind for kind in ARROW}
TEXTUAL: Final = (ValueType.STRING, ValueType.BYTES)

_NULL_IN_LIST: Final = {
    ValueType.FLOAT: np.nan,
    ValueType.DOUBLE: np.nan,
    ValueType.BOOL: False,
    ValueType.STRING: "",
    ValueType.BYTES: b"",
    ValueType.UNIX_TIMESTAMP: NULL_TIMESTAMP_INT_VALUE,
}  # as Feast writes it: an array can't hold null; the other kinds hold 0
_WIRE: Final = {
    FieldDescriptor.TYPE_DOUBLE: 1,
    FieldDescriptor.TYPE_FLOAT: 5,
    FieldDescriptor.TYPE_STRING: 2,
    FieldDescriptor.TYPE_BYTES: 2,
    FieldDescriptor.TYPE_MESSAGE: 2,
}  # all others are varints


def encode(kind: ValueType, values: pa.Array) -> pa.Array:
    """Each of ``values`` (no nulls) as a serialized ``Value`` of ``kind``; null where it is NaN.

    Raises:
        pa.ArrowException: the values can't be of that kind.
    """
    if kind in ARROW:
        values = _cast(kind, values)
        encoded = joined(tag(kind), _plain(kind, values))
        if pa.types.is_floating(values.type):
            return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.binary()), encoded)
        return encoded
    if kind in LISTS:
        return joined(tag(kind), sized(_repeated(LISTS[kind], values)))
    protos = python_values_to_proto_values(values.to_numpy(zero_copy_only=False), kind)
    return pa.array([proto.SerializeToString() for proto in protos], pa.binary())


def encode_timestamps(values: pa.Array) -> pa.Array:
    """Each time (no nulls) as a serialized ``Timestamp``; a time without a zone is UTC."""
    seconds, micros = np.divmod(_micros(values), 10**6)
    return joined(_unless_zero(b"\x08", seconds), _unless_zero(b"\x10", micros * 1000))


def tag(kind: ValueType) -> bytes:
    """What the value of a ``Value`` of ``kind`` begins with: its field's number and wire type."""
    field = Value.DESCRIPTOR.fields_by_name[f"{kind.name.lower()}_val"]
    number = field.number << 3 | _WIRE.get(field.type, 0)
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


def _plain(kind: ValueType, values: pa.Array) -> pa.Array:
    """The bytes of each value, without a tag."""
    if kind in TEXTUAL:
        return sized(values.cast(pa.binary()))
    numbers = values.to_numpy(zero_copy_only=False)
    return packed(numbers) if pa.types.is_floating(values.type) else varints(numbers)


def _repeated(kind: ValueType, lists: pa.Array) -> pa.Array:
    """The message that holds each list: packed numbers, or one field a text."""
    values = lists.flatten()
    values = _cast(kind, values.cast(ARROW[kind]) if pa.types.is_null(values.type) else values)
    values = _plain(kind, values.fill_null(_NULL_IN_LIST.get(kind, 0)))
    values = joined(b"\x0a", values) if kind in TEXTUAL else values
    ends = np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))
    bodies = _regrouped(values, np.concatenate([[0], ends]).astype(np.int64))
    if kind in TEXTUAL:
        return bodies
    empty = pc.equal(pc.binary_length(bodies), 0)
    return pc.if_else(empty, pa.scalar(b"", pa.binary()), joined(b"\x0a", sized(bodies)))


def _regrouped(values: pa.Array, ends: np.ndarray[Any, Any]) -> pa.Array:
    """What lies from one of ``ends`` to the next, as one binary value: they already lie one behind the other."""
    _, offsets, data = values.buffers()
    starts = np.frombuffer(offsets, np.int32, len(values) + 1, values.offset * 4)
    return pa.Array.from_buffers(pa.binary(), len(ends) - 1, [None, pa.py_buffer(starts[ends]), data])


def _cast(kind: ValueType, values: pa.Array) -> pa.Array:
    if pa.types.is_temporal(values.type) and kind is ValueType.UNIX_TIMESTAMP:
        return pa.array(_micros(values) // 10**6, mask=values.is_null().to_numpy(zero_copy_only=False))
    return values.cast(ARROW[kind])


def _micros(values: pa.Array) -> np.ndarray[Any, Any]:
    """Microseconds since 1970, int64 [n]; null is 0."""
    micros = values.cast(pa.timestamp("us", tz=getattr(values.type, "tz", None)), safe=False)
    found: np.ndarray[Any, Any] = micros.cast(pa.int64()).fill_null(0).to_numpy()
    return found


def _unless_zero(field: bytes, numbers: np.ndarray[Any, Any]) -> pa.Array:
    """A varint field, which protobuf leaves out where it is zero."""
    written = joined(field, varints(numbers))
    return pc.if_else(pa.array(numbers == 0), pa.scalar(b"", pa.binary()), written)
