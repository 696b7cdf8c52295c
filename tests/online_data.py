"""Feature views of one value of every type, and stores that hold them online."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, PushSource, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp

from feature_repo.stores.redis_online import ArrowRedisOnlineStore

OURS = "feature_repo.stores.redis_online.ArrowRedisOnlineStore"
US = pa.timestamp("us", tz="UTC")
TIMES = [
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
]
SECONDS = [time.replace(microsecond=0) for time in TIMES]
LONG = "ü" * 200  # its length takes two bytes

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)

VALUES: dict[str, tuple[Any, pa.Array]] = {
    "string": (String, pa.array(["", None, "ü\r\n$3"])),
    "long_string": (String, pa.array([LONG, "a" * 127, "a" * 128])),
    "int64": (Int64, pa.array([0, None, -5], pa.int64())),
    "int64_large": (Int64, pa.array([2**53, -(2**53), 2**35], pa.int64())),
    "int32": (Int32, pa.array([1, -2, 3], pa.int32())),
    "float64": (Float64, pa.array([0.1, None, float("nan")])),
    "float32": (Float32, pa.array([0.5, 1e30, -1.0], pa.float32())),
    "bool": (Bool, pa.array([True, None, False])),
    "bytes": (Bytes, pa.array([b"\x00\r\n", None, b""])),
    "time": (UnixTimestamp, pa.array(TIMES, US)),
    "all_null": (Int64, pa.array([None, None, None], pa.int64())),
    "strings": (Array(String), pa.array([["b", "", LONG], [], None])),
    "bytes_list": (Array(Bytes), pa.array([[b"\x00", b""], None, [b"x"]])),
    "int32_list": (Array(Int32), pa.array([[1, -2, 300], [0], None], pa.list_(pa.int32()))),
    "int64_list": (Array(Int64), pa.array([[2**62, -1], None, []], pa.list_(pa.int64()))),
    "float32_list": (Array(Float32), pa.array([[0.5, -1.0], [], None], pa.list_(pa.float32()))),
    "float64_list": (Array(Float64), pa.array([[0.1, 1.0], [0.5] * 40, None])),
    "bool_list": (Array(Bool), pa.array([[True, False], [False], None])),
    "time_list": (Array(UnixTimestamp), pa.array([TIMES, TIMES[:1], None], pa.list_(US))),
}
"""Name -> Feast type and three values."""


def python(name: str) -> list[Any]:
    """The three values as Feast reads them: NaN is null, times are whole seconds."""
    values: list[Any] = VALUES[name][1].to_pylist()
    if name == "time":
        return SECONDS
    if name == "time_list":
        return [SECONDS, SECONDS[:1], None]
    return [None if value != value else value for value in values]


def view_of(entities: list[Entity], name: str = "v", push: bool = False, **fields: Any) -> FeatureView:
    keys = [Field(name=e.join_key, dtype=String if e is user else Int64) for e in entities]
    schema = [*keys, *(Field(name=n, dtype=d) for n, d in fields.items())]
    source: Any = PostgreSQLSource(name=f"{name}_s", table=name, timestamp_field="event_timestamp")
    if push:
        source = PushSource(name=f"{name}_push", batch_source=source)
    return FeatureView(name=name, entities=entities, schema=schema, source=source)


def three_rows(name: str) -> pa.Table:
    """A row of each of the three values for the view ``view_of([user, item], f=…)``, at ``TIMES``."""
    return pa.table(
        {"user_id": ["u", "", "ü"], "item_id": [1, -1, 2**40], "event_timestamp": TIMES_US, "f": VALUES[name][1]}
    )


TIMES_US = pa.array(TIMES, US)
KEYS: dict[str, list[Any]] = {"user_id": ["u", "", "ü"], "item_id": [1, -1, 2**40]}


def online(store: FeatureStore) -> ArrowRedisOnlineStore:
    found = store._get_provider().online_store
    assert isinstance(found, ArrowRedisOnlineStore)
    return found


def row(user_id: str, n: int | None, when: datetime = TIMES[0]) -> pa.Table:
    """One row for a view of ``user`` with the feature ``n``."""
    return pa.table({"user_id": [user_id], "event_timestamp": pa.array([when], US), "n": pa.array([n], pa.int64())})


def write(store: FeatureStore, rows: pa.Table, view: str = "v") -> None:
    online(store).write_arrow(store.config, store.get_feature_view(view), rows)
