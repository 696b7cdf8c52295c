"""Materialization as Arrow: what the table's newest rows say, never up to a time to come."""

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from feast import FeatureStore, FeatureView, Field, PushSource, RepoConfig
from feast.data_source import PushMode
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Array, Float64, Int64, String

from feature_repo import definitions
from pipelines.core.features.feature_views import VIEWS
from pipelines.settings import Settings
from tests.online_data import OURS, user

pytestmark = pytest.mark.services

T0 = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS = [  # user_id, event_timestamp, created_timestamp, n, x, recent
    ("a", T0, T0, 1, 0.5, ["i"]),
    ("a", T0 + DAY, T0 + DAY, 2, None, ["j", "i"]),
    ("a", T0 + DAY, T0 + 3 * DAY, 3, 1.5, ["k"]),
    ("b", T0, T0, 4, 2.5, []),
    ("c", T0 + 9 * DAY, T0 + 9 * DAY, 5, 3.5, None),
]


def view_of_table(**options: Any) -> FeatureView:
    source = PostgreSQLSource(
        name="t_source", table="t", timestamp_field="event_timestamp", created_timestamp_column="created_timestamp"
    )
    fields = {"user_id": String, "n": Int64, "x": Float64, "recent": Array(String)}
    schema = [Field(name=name, dtype=dtype) for name, dtype in fields.items()]
    push = PushSource(name="t_push", batch_source=source)
    return FeatureView(name="t", entities=[user], schema=schema, source=push, **{"ttl": timedelta(0)} | options)


@pytest.fixture
def store_of(settings: Settings) -> Iterator[Callable[..., FeatureStore]]:
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE t (user_id text, event_timestamp timestamptz, created_timestamp timestamptz,"
            " n bigint, x float8, recent text[])"
        )
        connection.cursor().executemany("INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s)", ROWS)

    def build(*objects: Any) -> FeatureStore:
        config = RepoConfig(
            project="shop", provider="local", registry=str(settings.root / "registry.db"),
            offline_store={
                "type": "feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore",
                "host": settings.postgres_host, "port": settings.postgres_port, "user": settings.postgres_user,
                "password": settings.postgres_password, "database": settings.postgres_db, "sslmode": "prefer",
            },
            online_store={"type": OURS, "connection_string": settings.exported()["FEAST_REDIS"]},
            batch_engine={"type": "feature_repo.stores.arrow_engine.ArrowComputeEngine"},
            materialization={"pull_latest_features": True}, entity_key_serialization_version=3,
        )  # fmt: skip
        store = FeatureStore(config=config)
        store.apply([user, *objects])
        return store

    yield build


def online(store: FeatureStore) -> dict[str, list[Any]]:
    asked = [{"user_id": u} for u in "abc"]
    found = store.get_online_features(["t:n", "t:x", "t:recent"], asked).to_dict()
    return {name: found[name] for name in ("n", "x", "recent")}


def push(store: FeatureStore, n: int, when: datetime) -> None:
    columns = {"user_id": ["a"], "event_timestamp": [when], "created_timestamp": [when], "n": [n], "x": [0.0]}
    store.push("t_push", pd.DataFrame(columns | {"recent": [["p"]]}), to=PushMode.ONLINE)


def test_each_entity_gets_its_newest_and_latest_created_row(
    store_of: Callable[..., FeatureStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(LocalComputeEngine, "_materialize_one")  # a view with a push source needs Feast's way no more
    store = store_of(view_of_table())
    store.materialize(T0, T0 + 5 * DAY)
    assert online(store) == {"n": [3, 4, None], "x": [1.5, 2.5, None], "recent": [["k"], [], None]}
    store.materialize_incremental(T0 + 20 * DAY)
    assert online(store)["n"] == [3, 4, 5]


def test_views_that_are_more_than_their_table_go_feasts_way(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of_table(ttl=timedelta(days=36_500)))
    store.materialize(T0, T0 + 5 * DAY)
    assert online(store)["n"] == [3, 4, None]


def test_a_batch_overwrites_what_was_pushed_before_its_rows_and_nothing_newer(
    store_of: Callable[..., FeatureStore],
) -> None:
    store, seen = store_of(view_of_table()), []
    for n, when in ((10, T0 + DAY / 2), (20, T0 + 2 * DAY)):
        push(store, n, when)
        store.materialize(T0, T0 + 5 * DAY)
        seen.append(online(store)["n"][0])
    assert seen == [3, 20]


def test_an_end_in_the_future_is_refused_and_moves_no_watermark(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of_table())
    for call in (lambda end: store.materialize(T0, end), store.materialize_incremental):
        with pytest.raises(ValueError, match=r"t: can't materialize up to .* UTC, which is in the future: the next"):
            call(datetime.now(UTC) + timedelta(minutes=5))
    assert store.get_feature_view("t").most_recent_end_time is None
    assert online(store)["n"] == [None] * 3
    store.materialize(T0, datetime.now(UTC) + timedelta(seconds=30))  # another machine's clock
    assert online(store)["n"] == [3, 4, 5]


def test_user_activity_v2_is_pushed_online(store_of: Callable[..., FeatureStore]) -> None:
    view = copy.deepcopy(definitions.user_activity_v2)
    store = store_of(copy.deepcopy(definitions.user), view)
    features = VIEWS["user_activity_v2"].features
    values = {name: pa.array([k], pa.int64()).cast(kind) for k, (name, kind) in enumerate(features.items())}
    frame = pa.table(
        {"user_id": ["u"], "event_timestamp": pa.array([T0]), "created_timestamp": pa.array([T0]), **values}
    )
    store.push("user_activity_v2_push", frame.to_pandas(), to=PushMode.ONLINE)
    refs = [f"user_activity_v2:{name}" for name in features]
    got = store.get_online_features(refs, [{"user_id": "u"}]).to_dict()
    assert [got[name] for name in features] == [[k] for k in range(len(features))]
