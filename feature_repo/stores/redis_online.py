"""An online store on Redis that takes Arrow tables as they are, and forgets entities that are gone.

The wire format is Feast's, byte for byte: a hash for each entity (key: serialized entity key + project), in it a field
for each feature (murmur3 of ``view:feature``) with the serialized ``Value``, and ``_ts:view`` with the row's timestamp.
Values are encoded by Feast's own functions, but each distinct one once; what repeats is copied by Arrow. So the rows of
a batch become one buffer of HSET commands without a Python object for each value. Single rows, reads and everything
else are inherited.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from feast.feature_view import FeatureView
from feast.infra.key_encoding_utils import _serialize_val, serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import (
    RedisOnlineStore,
    RedisOnlineStoreConfig,
    RedisType,
    _versioned_fv_name,
)
from feast.repo_config import RepoConfig
from feast.utils import _columns_to_proto_values
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from feature_repo.stores.redis_read import Columns, Read

ROWS_AT_ONCE: Final = 10_000


class ArrowRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Feast's Redis settings under this store's type; a row is written even if one of the same time is there."""

    type: Literal["feature_repo.stores.redis_online.ArrowRedisOnlineStore"] = (
        "feature_repo.stores.redis_online.ArrowRedisOnlineStore"
    )
    skip_dedup: bool = True


class ArrowRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis online store with bulk writes from Arrow."""

    @staticmethod
    def takes_arrow(config: RedisOnlineStoreConfig) -> bool:
        """Whether bulk writes can go over one connection, without reading what is there and without expiry."""
        return config.redis_type != RedisType.redis_cluster and config.skip_dedup and not config.key_ttl_seconds

    def write_arrow(self, config: RepoConfig, view: FeatureView, rows: pa.Table) -> None:
        """Write rows (join keys, timestamp, features under the view's names); of equal keys the last one stays."""
        pool = self._get_client(config.online_store).connection_pool
        for start in range(0, rows.num_rows, ROWS_AT_ONCE):
            batch = rows.slice(start, ROWS_AT_ONCE).combine_chunks().to_batches()[0]
            commands = _commands(config, view, batch)
            connection = pool.get_connection()
            try:
                connection.send_packed_command([commands])
                for _ in range(batch.num_rows):
                    connection.read_response()
            except BaseException:
                connection.disconnect()  # replies that nobody read must not reach the next user
                raise
            finally:
                pool.release(connection)

    def read_columns(self, config: RepoConfig, reads: Sequence[Read]) -> list[Columns]:
        """Newest values of many entities of several views, in one round trip; the answers in the order of ``reads``."""
        raise NotImplementedError

    def retain(self, config: RepoConfig, view: FeatureView, entities: pa.Table) -> int:
        """Delete the view's values of every entity that isn't in ``entities`` (join keys); return how many went."""
        client, join_keys = self._get_client(config.online_store), sorted(view.join_keys)
        prefix, project = serialize_entity_key_prefix(join_keys), config.project.encode()
        found = pa.array(client.scan_iter(prefix + b"*" + project, count=ROWS_AT_ONCE), pa.binary())
        wanted = pa.chunked_array([_keys(config, view, b) for b in entities.to_batches()], pa.binary())
        gone = found.filter(pc.invert(pc.is_in(found, value_set=wanted))).to_pylist()
        gone = [key for key in gone if _is_key_of(key, prefix, len(join_keys), project)]
        name = _versioned_fv_name(view, config)
        fields = [_mmh3(f"{name}:{field.name}") for field in view.features] + [f"_ts:{name}".encode()]
        deleted = 0
        for start in range(0, len(gone), ROWS_AT_ONCE):
            with client.pipeline(transaction=False) as pipe:
                for key in gone[start : start + ROWS_AT_ONCE]:
                    pipe.hdel(key, *fields)  # Redis drops a hash with its last field
                deleted += sum(count > 0 for count in pipe.execute())
        return deleted


def _commands(config: RepoConfig, view: FeatureView, batch: pa.RecordBatch) -> memoryview:
    """One HSET for each row, in Redis' protocol."""
    name = _versioned_fv_name(view, config)
    assert view.batch_source is not None
    columns = [_field(f"_ts:{name}".encode(), batch[view.batch_source.timestamp_field], _timestamps)]
    columns += [
        _field(_mmh3(f"{name}:{f.name}"), batch[f.name], _values(f.name, f.dtype.to_value_type()))
        for f in view.features
    ]
    keys = _keys(config, view, batch)
    lengths = pc.binary_length(keys).cast(pa.string()).cast(pa.binary())
    head = pa.scalar(b"*%d\r\n$4\r\nHSET\r\n$" % (2 + 2 * len(columns)), pa.binary())
    end, nothing = pa.scalar(b"\r\n", pa.binary()), pa.scalar(b"", pa.binary())
    commands = pc.binary_join_element_wise(head, lengths, end, keys, end, *columns, nothing)
    _, offsets, data = commands.buffers()
    first, *_, last = memoryview(offsets).cast("i")[commands.offset : commands.offset + len(commands) + 1]
    return memoryview(data)[first:last]


def _keys(config: RepoConfig, view: FeatureView, batch: pa.RecordBatch) -> pa.Array:
    """The Redis key of each row."""
    join_keys = sorted(view.join_keys)
    types = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    version = config.entity_key_serialization_version

    def serialized(name: str) -> Callable[[pa.Array], list[bytes]]:
        def encode(values: pa.Array) -> list[bytes]:
            protos = _protos(name, types[name], values)
            pairs = [_serialize_val(p.WhichOneof("val"), p, version) for p in protos]
            return [kind.to_bytes(4, "little") + len(v).to_bytes(4, "little") + v for v, kind in pairs]

        return encode

    parts = [_each_once(batch[name], serialized(name)) for name in join_keys]
    prefix = pa.scalar(serialize_entity_key_prefix(join_keys, version), pa.binary())
    project = pa.scalar(config.project.encode(), pa.binary())
    return pc.binary_join_element_wise(prefix, *parts, project, pa.scalar(b"", pa.binary()))


def _is_key_of(key: bytes, prefix: bytes, n_values: int, project: bytes) -> bool:
    """Whether ``key`` is ``prefix``, ``n_values`` values and exactly ``project``; not a project that ends like it."""
    at = len(prefix)
    for _ in range(n_values):
        at += 8 + int.from_bytes(key[at + 4 : at + 8], "little")
    return key[at:] == project


def _field(name: bytes, column: pa.Array, encode: Callable[[pa.Array], list[bytes]]) -> pa.Array:
    """Field name and value as two of the protocol's strings; a missing value is the empty ``Value``."""
    column = _each_once(column, lambda values: [_bulk(name) + _bulk(value) for value in encode(values)])
    return column.fill_null(_bulk(name) + _bulk(b""))


def _each_once(column: pa.Array, encode: Callable[[pa.Array], list[bytes]]) -> pa.Array:
    """``encode`` of each value, called once for each distinct one; null stays null."""
    if pa.types.is_nested(column.type):
        return pa.array(encode(column), pa.binary())
    encoded = column.dictionary_encode()
    return pa.array(encode(encoded.dictionary), pa.binary()).take(encoded.indices)


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _protos(name: str, kind: ValueType, values: pa.Array) -> list[Any]:
    if not len(values):
        return []
    batch = pa.record_batch([values], names=[name])
    return list(_columns_to_proto_values(batch, [(name, kind)], allow_missing=False)[name])


def _values(name: str, kind: ValueType) -> Callable[[pa.Array], list[bytes]]:
    return lambda values: [proto.SerializeToString() for proto in _protos(name, kind, values)]


def _timestamps(values: pa.Array) -> list[bytes]:
    return [Timestamp(seconds=us // 10**6, nanos=us % 10**6 * 1000).SerializeToString() for us in _microseconds(values)]


def _microseconds(values: pa.Array) -> list[int]:
    microseconds: list[int] = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    return microseconds
