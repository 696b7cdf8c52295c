"""Rows as commands that write them into Redis, unless it holds a newer one."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from feast.feature_view import FeatureView
from feast.infra.online_stores.helpers import _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from feature_repo.stores.redis_values import encode, encode_timestamps
from feature_repo.stores.redis_wire import bulk, bulks, feature_field, joined, once, redis_keys, stamp_field

MOMENT: Final = b"""
local function moment(bytes)  -- seconds and nanoseconds of a google.protobuf.Timestamp
  local fields, at = {0, 0}, 1
  while at <= #bytes do
    local field, length, value, below, scale, byte = bytes:byte(at) / 8, 0, 0, 0, 1, 0
    repeat
      length = length + 1
      byte = bytes:byte(at + length)
      if length < 10 then
        value = value + byte % 128 * scale
        below = below + (127 - byte % 128) * scale
      end
      scale = scale * 128
    until byte < 128
    fields[field] = length < 10 and value or -below - 1
    at = at + length + 1
  end
  return fields[1], fields[2]
end
local function newer(one, other)
  if one == other then return false end
  local seconds, nanos = moment(one)
  local than, than_nanos = moment(other)
  return seconds > than or seconds == than and nanos > than_nanos
end
"""

WRITE: Final = (
    MOMENT
    + b"""
local lifetime, always, field, stamp = unpack(ARGV, 1, 4)
local held = always == '' and redis.call('HGET', KEYS[1], field)
if held and newer(held, stamp) then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if lifetime ~= '' then redis.call('EXPIRE', KEYS[1], lifetime) end
return 1
"""
)
"""Write a row (field and value one after the other, the timestamp's first) in one step with looking for a newer one."""

DROP: Final = (
    MOMENT
    + b"""
local bounded, stamp, field = unpack(ARGV, 1, 3)
local held = bounded ~= '' and redis.call('HGET', KEYS[1], field)
if held and newer(held, stamp) then return 0 end
return redis.call('HDEL', KEYS[1], unpack(ARGV, 3)) > 0 and 1 or 0
"""
)
"""Delete a row (its fields, the timestamp's first) if it isn't newer; Redis drops a hash with its last field."""

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


def arrow_rows(config: RepoConfig, view: FeatureView, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """The key of each row of ``batch`` (join keys, timestamp, features), and the command that writes it.

    Raises:
        ValueError: a column is missing, isn't of its declared type, or a row has no key or timestamp.
    """
    assert view.batch_source is not None
    stamps = _column(view, batch, view.batch_source.timestamp_field)
    if stamps.null_count:
        raise ValueError(f"{view.name}: {stamps.null_count} rows have no {view.batch_source.timestamp_field}")
    keys = redis_keys(config, view, {name: _column(view, batch, name) for name in view.join_keys})
    values = _features(view, batch)
    parts = [bulk(stamp_field(config, view)), once(stamps, lambda times: bulks(encode_timestamps(times)))]
    for name, value in values.items():
        parts += [bulk(feature_field(config, view, name)), value]
    return keys, joined(_head(WRITE, len(parts) + 2), bulks(keys), _how(config), *parts)


def proto_rows(config: RepoConfig, view: FeatureView, rows: Iterable[Row]) -> tuple[pa.Array, pa.Array]:
    """The key of each of Feast's rows, and the command that writes it."""
    version = config.entity_key_serialization_version
    fields: dict[str, bytes] = {}
    stamp, how = bulk(stamp_field(config, view)), _how(config)
    keys, commands = [], []
    for entity, values, when, _ in rows:
        key = _redis_key(config.project, entity, entity_key_serialization_version=version)
        parts = [stamp, bulk(_timestamp(when))]
        for name, value in values.items():
            field = fields.get(name) or fields.setdefault(name, bulk(feature_field(config, view, name)))
            parts += [field, bulk(value.SerializeToString())]
        keys.append(key)
        commands.append(b"".join([_head(WRITE, len(parts) + 2), bulk(key), how, *parts]))
    return pa.array(keys, pa.binary()), pa.array(commands, pa.binary())


def drops(config: RepoConfig, view: FeatureView, keys: pa.Array, until: datetime | None) -> pa.Array:
    """The command that deletes the view's row under each of ``keys``, if it isn't newer than ``until``."""
    fields = [stamp_field(config, view), *(feature_field(config, view, feature.name) for feature in view.features)]
    arguments = [b"1" if until else b"", _timestamp(until) if until else b"", *fields]
    return joined(_head(DROP, len(arguments)), bulks(keys), b"".join(map(bulk, arguments)))


def _head(script: bytes, n_arguments: int) -> bytes:
    """A call of ``script`` up to its one key."""
    sha = hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()
    return b"*%d\r\n" % (n_arguments + 4) + bulk(b"EVALSHA") + bulk(sha) + bulk(b"1")


def _timestamp(when: datetime) -> bytes:
    stamp = Timestamp()
    stamp.FromDatetime(when if when.tzinfo else when.replace(tzinfo=UTC))
    return bytes(stamp.SerializeToString())


def _how(config: RepoConfig) -> bytes:
    """The script's first arguments: the key's life in seconds, and whether a newer row may be overwritten."""
    lifetime = config.online_store.key_ttl_seconds
    return bulk(str(lifetime).encode() if lifetime else b"") + bulk(b"1" if config.online_store.skip_dedup else b"")


def _column(view: FeatureView, batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        raise ValueError(f"{view.name}: the rows have no column {name}")
    return batch[name]


def _features(view: FeatureView, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Each feature's values as arguments, null as the empty ``Value``; features of one type are encoded at once."""
    columns = {feature.name: _column(view, batch, feature.name) for feature in view.features}
    alike: dict[tuple[ValueType, str], list[str]] = defaultdict(list)
    for feature in view.features:
        alike[feature.dtype.to_value_type(), str(columns[feature.name].type)].append(feature.name)
    written: dict[str, pa.Array] = {}
    for (kind, _), names in alike.items():
        stacked = pa.chunked_array([columns[name] for name in names]).combine_chunks()
        try:
            encoded = once(stacked, partial(_encoded, kind))
        except pa.ArrowException as error:
            raise ValueError(f"{view.name}: {', '.join(names)} is declared {kind.name}: {error}") from error
        encoded = pc.fill_null(encoded, bulk(b""))
        written |= {name: encoded.slice(k * batch.num_rows, batch.num_rows) for k, name in enumerate(names)}
    return written


def _encoded(kind: ValueType, values: pa.Array) -> pa.Array:
    return bulks(encode(kind, values))
