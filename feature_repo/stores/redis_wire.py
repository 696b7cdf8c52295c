"""Feast's layout of Redis, built from Arrow buffers: keys of entities, names of hash fields, commands.

A hash for each entity (key: serialized entity key + project), in it a field for each feature (murmur3 of
``view:feature``) with the serialized ``Value``, and ``_ts:view`` with the row's serialized ``Timestamp``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.feature_view import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import _versioned_fv_name
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

KEY_TYPES: Final = {
    ValueType.STRING: pa.binary(),
    ValueType.BYTES: pa.binary(),
    ValueType.INT32: pa.int32(),
    ValueType.INT64: pa.int64(),
    ValueType.UNIX_TIMESTAMP: pa.int64(),
}
"""What an entity's key may be -> what is packed into the Redis key."""

_SHIFTS: Final = np.arange(0, 64, 7, dtype=np.uint64)
_PLACES: Final = np.arange(10)


def feature_field(config: RepoConfig, view: FeatureView, feature: str) -> bytes:
    """The hash field that holds ``feature``."""
    return bytes(_mmh3(f"{_versioned_fv_name(view, config)}:{feature}"))


def stamp_field(config: RepoConfig, view: FeatureView) -> bytes:
    """The hash field that holds the event timestamp of the view's row."""
    return f"_ts:{_versioned_fv_name(view, config)}".encode()


def redis_keys(config: RepoConfig, view: FeatureView, columns: Mapping[str, pa.Array]) -> pa.Array:
    """The Redis key of each row, from the columns of the view's join keys, which are all of ``columns``.

    Raises:
        ValueError: a row has no value for a key, or one that isn't of the key's type.
    """
    types = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    names = sorted(columns)
    parts = [_key_values(view.name, name, types[name], columns[name]) for name in names]
    return joined(key_prefix(config, names), *parts, config.project.encode())


def key_prefix(config: RepoConfig, join_keys: Sequence[str]) -> bytes:
    """What the keys of all entities with ``join_keys`` (sorted) begin with."""
    return serialize_entity_key_prefix(list(join_keys), config.entity_key_serialization_version)


def is_key_of(key: bytes, prefix: bytes, n_values: int, project: bytes) -> bool:
    """Whether ``key`` is ``prefix``, ``n_values`` values and exactly ``project``; not a project that ends like it."""
    at = len(prefix)
    for _ in range(n_values):
        at += 8 + int.from_bytes(key[at + 4 : at + 8], "little")
    return key.startswith(prefix) and key[at:] == project


def command(*arguments: bytes) -> bytes:
    """One command in Redis' protocol."""
    return b"*%d\r\n" % len(arguments) + b"".join(map(bulk, arguments))


def bulk(value: bytes) -> bytes:
    """One argument in Redis' protocol."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def bulks(values: pa.Array) -> pa.Array:
    """Each of the binary ``values`` as an argument in Redis' protocol."""
    lengths = pc.binary_length(values).cast(pa.string()).cast(pa.binary())
    return joined(b"$", lengths, b"\r\n", values, b"\r\n")


def joined(*parts: pa.Array | bytes) -> pa.Array:
    """The parts of each row in one binary value; ``bytes`` are the same in every row, null makes null."""
    scalars = [pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, pa.scalar(b"", pa.binary()))


def binary(data: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> pa.Array:
    """Binary values of ``lengths`` [n] that lie one behind the other in ``data`` (uint8)."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def packed(values: np.ndarray[Any, Any]) -> pa.Array:
    """The little-endian bytes of each number."""
    width = values.dtype.itemsize
    return binary(np.ascontiguousarray(values).view(np.uint8), np.full(len(values), width))


def varints(values: np.ndarray[Any, Any]) -> pa.Array:
    """Each integer [n] as a protobuf varint; a negative one takes ten bytes."""
    groups = values.astype(np.int64).view(np.uint64)[:, None] >> _SHIFTS  # [n, 10], seven bits each
    lengths = 1 + np.count_nonzero(groups[:, 1:], axis=1)
    bits = (groups & np.uint64(127)).astype(np.uint8)
    bits[lengths[:, None] - 1 > _PLACES] |= 128
    return binary(bits[lengths[:, None] > _PLACES], lengths)


def sized(values: pa.Array) -> pa.Array:
    """Each of the binary ``values`` behind its length, as protobuf writes it."""
    return joined(varints(pc.binary_length(values).to_numpy(zero_copy_only=False)), values)


def once(column: pa.Array, encode: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """``encode`` of ``column``, called with each distinct value once and never with null; null stays null."""
    if pa.types.is_nested(column.type):
        places = np.cumsum(column.is_valid().to_numpy(zero_copy_only=False)) - 1
        indices = pa.array(places, mask=column.is_null().to_numpy(zero_copy_only=False))
        return encode(column.drop_null()).take(indices)
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return encode(encoded.dictionary).take(encoded.indices)


def _key_values(view: str, name: str, kind: ValueType, column: pa.Array) -> pa.Array:
    """Type, length and bytes of each value of one join key."""
    if kind not in KEY_TYPES:
        raise ValueError(f"{view}: key {name} is {kind.name}; a key is one of {[k.name for k in KEY_TYPES]}")
    if column.null_count:
        raise ValueError(f"{view}: {column.null_count} rows have no value for the key {name}")
    return once(column, lambda values: _key_value(kind, values))


def _key_value(kind: ValueType, values: pa.Array) -> pa.Array:
    if KEY_TYPES[kind] == pa.binary():
        value = values.cast(pa.string() if kind is ValueType.STRING else pa.binary()).cast(pa.binary())
    else:
        value = packed(values.cast(KEY_TYPES[kind]).to_numpy())
    lengths = packed(pc.binary_length(value).to_numpy().astype("<u4"))
    return joined(kind.value.to_bytes(4, "little"), lengths, value)
