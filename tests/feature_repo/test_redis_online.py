"""The online store's bulk writes against Feast's own, byte for byte, and what it forgets."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
import redis
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.utils import _convert_arrow_to_proto

from feature_repo.stores.redis_online import ArrowRedisOnlineStore
from pipelines.settings import Settings

pytestmark = pytest.mark.services

US = pa.timestamp("us", tz="UTC")
TIMES = [
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
]
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)

VALUES: dict[str, tuple[Any, pa.Array]] = {
    "string": (String, pa.array(["", None, "ü\r\n$3"])),
    "int64": (Int64, pa.array([0, None, -5], pa.int64())),
    "int64_full": (Int64, pa.array([2**62 + 1, 5, 5], pa.int64())),
    "int32": (Int32, pa.array([1, -2, 3], pa.int32())),
    "float64": (Float64, pa.array([0.1, None, float("nan")])),
    "float32": (Float32, pa.array([0.1, 1e30, -1.0], pa.float32())),
    "bool": (Bool, pa.array([True, None, False])),
    "bytes": (Bytes, pa.array([b"\x00\r\n", None, b""])),
    "time": (UnixTimestamp, pa.array(TIMES, US)),
    "array": (Array(Float64), pa.array([[0.5, 1.0], [0.5], None])),
    "all_null": (Int64, pa.array([None, None, None], pa.int64())),
}


def view_of(entities: list[Entity], name: str = "v", **fields: Any) -> FeatureView:
    keys = [Field(name=e.join_key, dtype=String if e is user else Int64) for e in entities]
    schema = [*keys, *(Field(name=n, dtype=d) for n, d in fields.items())]
    source = PostgreSQLSource(name=f"{name}_s", table=name, timestamp_field="event_timestamp")
    return FeatureView(name=name, entities=entities, schema=schema, source=source)


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.redis) as opened:
        yield opened


@pytest.fixture
def store_of(settings: Settings) -> Callable[..., FeatureStore]:
    def build(*views: FeatureView, project: str = "shop", **online: Any) -> FeatureStore:
        config = RepoConfig(
            project=project, provider="local", registry=str(settings.root / f"{project}.db"), offline_store="dask",
            online_store={
                "type": "feature_repo.stores.redis_online.ArrowRedisOnlineStore",
                "connection_string": settings.exported()["FEAST_REDIS"], **online,
            },
            entity_key_serialization_version=3,
        )  # fmt: skip
        store = FeatureStore(config=config)
        store.apply([user, item, *views])
        return store

    return build


def online(store: FeatureStore) -> ArrowRedisOnlineStore:
    found = store._get_provider().online_store
    assert isinstance(found, ArrowRedisOnlineStore)
    return found


def everything(client: redis.Redis) -> dict[bytes, dict[bytes, bytes]]:
    return {key: client.hgetall(key) for key in client.scan_iter()}


@pytest.mark.parametrize("name", VALUES)
def test_bulk_write_leaves_the_bytes_that_feast_leaves(
    name: str, client: redis.Redis, store_of: Callable[..., FeatureStore]
) -> None:
    dtype, values = VALUES[name]
    store = store_of(view_of([user, item], f=dtype))
    view = store.get_feature_view("v")
    rows = pa.table({
        "user_id": ["u", "", "ü"], "item_id": [1, -1, 2**40], "event_timestamp": pa.array(TIMES, US), "f": values,
    })  # fmt: skip
    online(store).write_arrow(store.config, view, rows)
    ours = everything(client)
    client.flushdb()
    types = {c.name: c.dtype.to_value_type() for c in view.entity_columns}
    protos = _convert_arrow_to_proto(rows, view, types)
    RedisOnlineStore().online_write_batch(store.config, view, protos, None)
    assert ours == everything(client)
    assert len(ours) == 3


def test_bulk_write_is_read_back_by_feast(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], views=Int64, title=String))
    n = 25_000  # more than one batch
    rows = pa.table({
        "user_id": [f"u{k}" for k in range(n)], "event_timestamp": pa.array([TIMES[0]] * n, US),
        "views": list(range(n)), "title": [None if k % 2 else f"t{k}" for k in range(n)],
    })  # fmt: skip
    online(store).write_arrow(store.config, store.get_feature_view("v"), rows)
    asked = [{"user_id": u} for u in ("u0", "u24999", "nobody")]
    got = store.get_online_features(["v:views", "v:title"], asked).to_dict()
    assert (got["views"], got["title"]) == ([0, 24999, None], ["t0", None, None])


def test_bulk_write_keeps_large_integers_beside_missing_ones(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], views=Int64))
    rows = pa.table({"user_id": ["a", "b"], "event_timestamp": pa.array(TIMES[:2], US), "views": [2**60 + 1, None]})
    online(store).write_arrow(store.config, store.get_feature_view("v"), rows)
    assert store.get_online_features(["v:views"], [{"user_id": "a"}]).to_dict()["views"] == [2**60 + 1]


def test_bulk_write_lets_a_correction_of_the_same_moment_through(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], views=Int64))
    for views in (1, 2):
        rows = pa.table({"user_id": ["u"], "event_timestamp": pa.array(TIMES[:1], US), "views": [views]})
        online(store).write_arrow(store.config, store.get_feature_view("v"), rows)
    assert store.get_online_features(["v:views"], [{"user_id": "u"}]).to_dict()["views"] == [2]


def test_connection_is_usable_after_a_refused_write(client: redis.Redis, store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], views=Int64))
    view = store.get_feature_view("v")
    rows = pa.table({"user_id": ["a", "b"], "event_timestamp": pa.array(TIMES[:2], US), "views": [1, 2]})
    online(store).write_arrow(store.config, view, rows)
    (key, *_) = sorted(client.scan_iter())
    client.delete(key)
    client.set(key, "not a hash")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        online(store).write_arrow(store.config, view, rows)
    client.delete(key)
    online(store).write_arrow(store.config, view, rows)
    got = store.get_online_features(["v:views"], [{"user_id": "a"}, {"user_id": "b"}]).to_dict()
    assert got["views"] == [1, 2]


def write(store: FeatureStore, name: str, users: list[str]) -> None:
    rows = pa.table({"user_id": users, "event_timestamp": pa.array([TIMES[0]] * len(users), US), "n": [1] * len(users)})
    online(store).write_arrow(store.config, store.get_feature_view(name), rows)


def test_retain_forgets_entities_that_are_gone_from_one_view(
    client: redis.Redis, store_of: Callable[..., FeatureStore]
) -> None:
    store = store_of(view_of([user], "one", n=Int64), view_of([user], "two", n=Int64))
    write(store, "one", ["a", "b", "c"])
    write(store, "two", ["b"])
    gone = online(store).retain(store.config, store.get_feature_view("one"), pa.table({"user_id": ["a"]}))
    assert gone == 2
    got = store.get_online_features(
        ["one:n", "two:n"], [{"user_id": u} for u in "abc"], full_feature_names=True
    ).to_dict()
    assert (got["one__n"], got["two__n"]) == ([1, None, None], [None, 1, None])
    assert client.dbsize() == 2  # c held nothing else


def test_retain_leaves_other_projects_and_other_keys_alone(
    client: redis.Redis, store_of: Callable[..., FeatureStore]
) -> None:
    shop, other = store_of(view_of([user], n=Int64)), store_of(view_of([user], n=Int64), project="other_shop")
    write(shop, "v", ["a"])
    write(other, "v", ["a", "b"])
    client.set("unrelated", 1)
    assert (
        online(shop).retain(shop.config, shop.get_feature_view("v"), pa.table({"user_id": pa.array([], pa.string())}))
        == 1
    )
    assert client.dbsize() == 3
