"""What models and the service read: the past by pairs, the newest online."""

import math
from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import redis

from pipelines.core.errors import ServiceError
from pipelines.io import feast_store, materialization, online_features
from pipelines.io.online_features import OnlineFeatures
from pipelines.settings import Settings
from tests.feature_data import day, event, expected, prepared, product, published, random_events

pytestmark = pytest.mark.services

EVENTS = random_events(seed=10, n=200)
ITEMS = [product(f"i{n}", 0, category=None if n else "c") for n in range(4)]


@pytest.fixture(scope="module")
def shop(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One published shop for all tests of this module, which only read it."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(servers.postgres_conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        redis_url = servers.redis.rsplit("/", 1)[0] + "/14"
        root = tmp_path_factory.mktemp("shop")
        here = servers.model_copy(update={"root": root, "postgres_db": name, "redis_url": redis_url})
        yield published(here, EVENTS, ITEMS)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()


@pytest.fixture
def store(shop: Settings) -> feast_store.FeatureStore:
    return feast_store.open_store(shop)


def test_historical_equals_a_count_event_by_event_in_the_pairs_order(store: feast_store.FeatureStore) -> None:
    rng = np.random.default_rng(11)
    asked = [(f"u{rng.integers(4)}", f"i{rng.integers(5)}", day(int(d))) for d in rng.integers(0, 51, 150)]
    users, items, times = (list(column) for column in zip(*asked, strict=True))
    stamps = pa.array(times, pa.timestamp("us", tz="UTC"))
    pairs = pa.table({"user_id": users, "item_id": items, "event_timestamp": stamps})
    table = feast_store.historical(store, "ranker_v1", pairs)
    assert table.select(pairs.column_names).equals(pairs)
    features = table.drop_columns(pairs.column_names)
    assert set(features.schema.types) == {pa.float64()}
    for row, (user_id, item_id, at) in zip(features.to_pylist(), asked, strict=True):
        for view, keys, windows in (
            ("user_activity_v1", {"user_id": user_id}, (1, 7, 30)),
            ("item_activity_v1", {"item_id": item_id}, (1, 7, 30)),
            ("user_item_activity_v1", {"user_id": user_id, "item_id": item_id}, (7, 30)),
        ):
            want = expected(EVENTS, keys, at, windows)
            want |= {k.replace("spend", "revenue"): v for k, v in want.items() if k.startswith("spend")}
            got = {k.partition("__")[2]: v for k, v in row.items() if k.startswith(f"{view}__")}
            assert got == {k: want.get(k) for k in got}


def test_online_pairs_and_items_come_in_the_order_asked(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    items = ["i3", "nothing", "i0"]
    pairs, alone = online.user_items("u2", items), online.items(items)
    for place, item_id in enumerate(items):
        want = expected(EVENTS, {"user_id": "u2", "item_id": item_id}, day(50), (7, 30))
        got = pairs["user_item_activity_v1__views_all"][place]
        assert got == want["views_all"] if want else math.isnan(got)
    assert np.isnan(alone["item_activity_v1__views_all"]).tolist() == [False, True, False]
    assert alone["item_profile_v1__price"][[0, 2]].tolist() == [10.0, 10.0]
    assert {values.dtype for values in (pairs | alone).values()} == {np.dtype("float64")}
    assert {len(values) for values in (pairs | alone).values()} == {3}


def test_online_reads_more_items_than_a_chunk(store: feast_store.FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_features, "CHUNK", 2)
    items = ["i0", "i1", "i2", "i3", "i0"]
    whole = OnlineFeatures(store, "ranker_v1").items(items)["item_activity_v1__views_all"]
    want = [expected(EVENTS, {"item_id": i}, day(50), (7,))["views_all"] for i in items]
    assert whole.tolist() == want


def test_online_reads_no_items(store: feast_store.FeatureStore) -> None:
    assert all(len(values) == 0 for values in OnlineFeatures(store, "ranker_v1").items([]).values())


def test_online_names_are_those_of_the_past(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    stamps = pa.array([day(50)], pa.timestamp("us", tz="UTC"))
    pairs = pa.table({"user_id": ["u0"], "item_id": ["i0"], "event_timestamp": stamps})
    past = feast_store.historical(store, "ranker_v1", pairs).drop_columns(pairs.column_names).to_pylist()[0]
    now = {
        **online.user("u0"),
        **{k: v[0] for k, v in (online.user_items("u0", ["i0"]) | online.items(["i0"])).items()},
    }
    assert now.keys() == past.keys()
    np.testing.assert_equal(now, {k: math.nan if v is None else v for k, v in past.items()})


def test_online_user_who_is_unknown_has_no_values(store: feast_store.FeatureStore) -> None:
    assert all(math.isnan(v) for v in OnlineFeatures(store, "ranker_v1").user("nobody").values())


def test_online_cards_show_what_the_catalogue_says(store: feast_store.FeatureStore) -> None:
    cards = OnlineFeatures(store, "ranker_v1").cards(["i1", "nothing", "i0"])
    assert cards["title"].tolist() == ["Title of i1", None, "Title of i0"]
    assert cards["category"].tolist() == [None, None, "c"]
    assert cards["in_stock"].tolist() == [True, False, True]
    assert np.isnan(cards["price"]).tolist() == [False, True, False]


def test_online_service_that_is_unknown_says_what_to_run(store: feast_store.FeatureStore) -> None:
    with pytest.raises(ServiceError, match="make apply"):
        OnlineFeatures(store, "ranker_v9")


def test_online_before_any_materialization_says_what_to_run(settings: Settings) -> None:
    prepared(settings, [event("u", "i", "view", 0.5)], [])
    store = feast_store.open_store(settings)
    feast_store.apply(store)
    with pytest.raises(ServiceError, match="make pipeline"):
        _ = OnlineFeatures(store, "ranker_v1").as_of


@pytest.mark.parametrize("applied", [False, True])
def test_materialize_before_any_publish_says_what_to_run(applied: bool, settings: Settings) -> None:
    prepared(settings, [event("u", "i", "view", 0.5)], [])
    store = feast_store.open_store(settings)
    if applied:
        feast_store.apply(store)
    with pytest.raises(ServiceError, match="make pipeline"):
        materialization.materialize(store, day(1))


def test_online_without_redis_is_a_service_error(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    store.config.online_store.connection_string = "127.0.0.1:1"
    store._get_provider().online_store._client = None
    with pytest.raises(ServiceError, match="Redis"):
        online.user("u0")
