"""The offline store's point-in-time join against pandas and against Feast's own store."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int64, String

from pipelines.settings import Settings

pytestmark = pytest.mark.services

T0 = datetime(2024, 1, 1, tzinfo=UTC)
OURS = "feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore"
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)


TABLE = "CREATE TABLE {} (event_timestamp timestamptz, created_timestamp timestamptz, {})"


def hours(n: float) -> datetime:
    return T0 + timedelta(hours=n)


def view(name: str, entities: list[Entity], fields: dict[str, Any], **options: Any) -> FeatureView:
    source = PostgreSQLSource(
        name=f"{name}_source", table=name, timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp", field_mapping=options.pop("field_mapping", None),
    )  # fmt: skip
    keys = [Field(name=e.join_key, dtype=String) for e in entities]
    schema = [*keys, *(Field(name=n, dtype=d) for n, d in fields.items())]
    return FeatureView(name=name, entities=entities, schema=schema, source=source, **options)


@pytest.fixture
def run_sql(settings: Settings) -> Iterator[Callable[..., None]]:
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as connection:

        def run(statement: str, rows: list[tuple[Any, ...]] | None = None) -> None:
            if rows is None:
                connection.execute(statement)
            else:
                connection.cursor().executemany(statement, rows)

        yield run


@pytest.fixture
def store_with(settings: Settings) -> Callable[..., FeatureStore]:
    def build(*objects: Any, kind: str = OURS) -> FeatureStore:
        where = {
            "host": settings.postgres_host, "port": settings.postgres_port, "user": settings.postgres_user,
            "password": settings.postgres_password, "database": settings.postgres_db, "sslmode": "prefer",
        }  # fmt: skip
        config = RepoConfig(
            project="join", provider="local", registry=str(settings.root / f"{kind}.db"),
            offline_store={"type": kind, **where}, online_store={"type": "sqlite", "path": str(settings.root / "o.db")},
            entity_key_serialization_version=3,
        )  # fmt: skip
        store = FeatureStore(config=config)
        store.apply([user, item, *objects])
        return store

    return build


def pair_history(run_sql: Callable[..., None], n: int = 400) -> pd.DataFrame:
    """A table ``pair`` of users and items whose ids run into each other, with ties; also returned."""
    rng = np.random.default_rng(5)
    run_sql(TABLE.format("pair", "user_id text, item_id text, n bigint"))
    rows = [
        (str(rng.integers(1, 14)), str(rng.integers(1, 14)), hours(int(rng.integers(0, 40))), hours(int(c)), k)
        for k, c in enumerate(rng.permutation(n))
    ]
    run_sql(
        "INSERT INTO pair (user_id, item_id, event_timestamp, created_timestamp, n) VALUES (%s, %s, %s, %s, %s)", rows
    )
    return pd.DataFrame(rows, columns=["user_id", "item_id", "event_timestamp", "created_timestamp", "n"])


def asked(n: int = 300) -> pd.DataFrame:
    """Unsorted entity rows with duplicates and with entities that nobody knows."""
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({
        "user_id": rng.integers(1, 16, n).astype(str), "item_id": rng.integers(1, 16, n).astype(str),
        "event_timestamp": [hours(float(h)) for h in rng.uniform(-2, 42, n)], "label": rng.integers(0, 2, n),
    })  # fmt: skip
    return pd.concat([frame, frame.head(20)], ignore_index=True)


def newest(history: pd.DataFrame, row: Any, ttl_h: float = 1e5, known_then: bool = False) -> float:
    h = history[(history.user_id == row.user_id) & (history.item_id == row.item_id)]
    h = h[
        (h.event_timestamp <= row.event_timestamp)
        & (h.event_timestamp >= row.event_timestamp - pd.Timedelta(hours=ttl_h))
    ]
    h = h[h.created_timestamp <= row.event_timestamp] if known_then else h
    return float(h.sort_values(["event_timestamp", "created_timestamp"]).n.iloc[-1]) if len(h) else float("nan")


@pytest.mark.parametrize("ttl_h", [None, 5])
@pytest.mark.parametrize("known_then", [False, True])
def test_join_on_two_keys_equals_a_search_row_by_row(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore], ttl_h: float | None, known_then: bool
) -> None:
    history, rows = pair_history(run_sql), asked()
    ttl = timedelta(hours=ttl_h) if ttl_h else timedelta(0)
    store = store_with(view("pair", [user, item], {"n": Int64}, ttl=ttl))
    got = store.get_historical_features(rows, ["pair:n"], filter_by_created_timestamp=known_then).to_df()
    want = [newest(history, row, ttl_h or 1e5, known_then) for row in rows.itertuples()]
    np.testing.assert_array_equal(got.n.to_numpy(dtype=float), want)
    pd.testing.assert_frame_equal(got[["user_id", "item_id", "label"]], rows[["user_id", "item_id", "label"]])
    assert (got.event_timestamp == rows.event_timestamp).all()
    assert str(got.event_timestamp.dt.tz) == "UTC"
    assert 0 < np.isnan(want).sum() < len(want)


def test_join_on_two_keys_tells_apart_what_concatenates_to_the_same(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]
) -> None:
    run_sql(TABLE.format("pair", "user_id text, item_id text, n bigint"))
    run_sql(
        "INSERT INTO pair (event_timestamp, user_id, item_id, n) "
        "VALUES ('2024-01-01Z', '1', '23', 1), ('2024-01-01Z', '12', '3', 2)"
    )
    store = store_with(view("pair", [user, item], {"n": Int64}))
    rows = pd.DataFrame({"user_id": ["12", "1"], "item_id": ["3", "23"], "event_timestamp": hours(1)})
    assert store.get_historical_features(rows, ["pair:n"]).to_df().n.tolist() == [2, 1]


def test_join_equals_merge_asof_and_feasts_own_store_on_one_key(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]
) -> None:
    run_sql(TABLE.format("one", "user_id text, n bigint, x float8"))
    rng = np.random.default_rng(7)
    history = [
        (str(u), hours(h), hours(h), int(k), float(rng.normal()))
        for k, (u, h) in enumerate((u, h) for u in range(8) for h in range(0, 48, 3))
    ]
    run_sql("INSERT INTO one (user_id, event_timestamp, created_timestamp, n, x) VALUES (%s, %s, %s, %s, %s)", history)
    fields = {"n": Int64, "x": Float64}
    ours = store_with(view("one", [user], fields))
    stock = store_with(view("one", [user], fields), kind="postgres")
    rows = asked().drop(columns="item_id")
    got = ours.get_historical_features(rows, ["one:n", "one:x"], full_feature_names=True).to_df()
    theirs = stock.get_historical_features(rows, ["one:n", "one:x"], full_feature_names=True).to_df()
    assert list(got) == list(theirs) == ["user_id", "event_timestamp", "label", "one__n", "one__x"]
    order = ["user_id", "event_timestamp", "label"]
    left = (
        got.assign(event_timestamp=got.event_timestamp.dt.tz_localize(None)).sort_values(order).reset_index(drop=True)
    )
    right = theirs.sort_values(order).reset_index(drop=True)
    pd.testing.assert_frame_equal(left, right, check_dtype=False)
    table = pd.DataFrame(history, columns=["user_id", "event_timestamp", "created", "n", "x"]).sort_values(
        "event_timestamp"
    )
    asof = pd.merge_asof(rows.reset_index().sort_values("event_timestamp"), table, on="event_timestamp", by="user_id")
    np.testing.assert_array_equal(got.one__x.to_numpy(), asof.sort_values("index").x.to_numpy())


def test_join_reads_its_rows_from_a_query_and_under_another_name(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]
) -> None:
    pair_history(run_sql)
    pairs = view("pair", [user, item], {"n": Int64})
    service = FeatureService(name="s", features=[pairs.with_name("seller").with_join_key_map({"user_id": "seller_id"})])
    store = store_with(pairs, service)
    frame = asked(50).rename(columns={"user_id": "seller_id"})
    run_sql("CREATE TABLE asked (k bigint, seller_id text, item_id text, event_timestamp timestamptz)")
    run_sql(
        "INSERT INTO asked VALUES (%s, %s, %s, %s)",
        [(k, r.seller_id, r.item_id, r.event_timestamp) for k, r in enumerate(frame.itertuples())],
    )
    query = "SELECT seller_id, item_id, event_timestamp FROM asked ORDER BY k"
    by_query = store.get_historical_features(query, store.get_feature_service("s"), full_feature_names=True).to_df()
    by_frame = store.get_historical_features(
        frame.drop(columns="label"), store.get_feature_service("s"), full_feature_names=True
    ).to_df()
    pd.testing.assert_frame_equal(by_query, by_frame, check_dtype=False)
    assert by_query.seller__n.notna().any()


def test_join_keeps_texts_and_absent_values_apart(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]
) -> None:
    run_sql(TABLE.format("texts", "user_id text, raw_t text, b bool, x float8"))
    values: list[Any] = ["", None, 'a "quoted", text', "two\nlines", "ü", "NULL", "\\N"]
    rows = [(T0, T0, str(k), t, t is not None, float("nan")) for k, t in enumerate(values)]
    run_sql("INSERT INTO texts VALUES (%s, %s, %s, %s, %s, %s)", rows)
    store = store_with(view("texts", [user], {"t": String, "x": Float64}, field_mapping={"raw_t": "t"}))
    ask = pd.DataFrame({"user_id": [str(k) for k in range(8)], "event_timestamp": hours(1)})
    got = store.get_historical_features(ask, ["texts:t", "texts:x"]).to_arrow()
    assert got["t"].to_pylist() == [*values, None]
    assert np.isnan(got["x"].to_pylist()[0])
    assert got["x"].to_pylist()[7] is None


def test_join_returns_arrays(run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]) -> None:
    run_sql(TABLE.format("vectors", "user_id text, v float8[]"))
    run_sql("INSERT INTO vectors VALUES ('2024-01-01Z', '2024-01-01Z', 'a', '{0.5, 1}')")
    store = store_with(view("vectors", [user], {"v": Array(Float64)}))
    ask = pd.DataFrame({"user_id": ["b", "a"], "event_timestamp": hours(1)})
    assert store.get_historical_features(ask, ["vectors:v"]).to_arrow()["v"].to_pylist() == [None, [0.5, 1.0]]


def test_join_feeds_on_demand_views(run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]) -> None:
    pair_history(run_sql)
    pairs = view("pair", [user, item], {"n": Int64})

    @on_demand_feature_view(sources=[pairs], schema=[Field(name="double", dtype=Float64)], mode="pandas")
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"double": inputs["n"] * 2.0})

    got = store_with(pairs, doubled).get_historical_features(asked(), ["pair:n", "doubled:double"]).to_df()
    np.testing.assert_array_equal(got.double.to_numpy(), got.n.to_numpy(dtype=float) * 2)


def test_join_of_no_rows_has_the_features_columns(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]
) -> None:
    pair_history(run_sql)
    store = store_with(view("pair", [user, item], {"n": Int64}))
    got = store.get_historical_features(asked().head(0), ["pair:n"]).to_arrow()
    assert got.num_rows == 0
    assert got.schema.field("n").type == pa.int64()


def test_join_without_a_key_names_it(run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]) -> None:
    pair_history(run_sql)
    store = store_with(view("pair", [user, item], {"n": Int64}))
    with pytest.raises(FeastEntityDFMissingColumnsError, match="item_id"):
        store.get_historical_features(asked().drop(columns="item_id"), ["pair:n"]).to_df()


def test_join_takes_text_times_as_utc(run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]) -> None:
    history = pair_history(run_sql)
    store = store_with(view("pair", [user, item], {"n": Int64}))
    rows = asked(40)
    text = rows.assign(event_timestamp=rows.event_timestamp.dt.tz_localize(None).astype(str))
    got = store.get_historical_features(text, ["pair:n"]).to_df()
    np.testing.assert_array_equal(got.n.to_numpy(dtype=float), [newest(history, r) for r in rows.itertuples()])


def test_latest_rows_are_the_newest_up_to_the_end(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]
) -> None:
    history = pair_history(run_sql)
    store = store_with(view("pair", [user, item], {"n": Int64}))
    source = store.get_feature_view("pair").batch_source
    got = store._get_provider().offline_store.pull_latest_from_table_or_query(
        store.config, source, ["user_id", "item_id"], ["n"], "event_timestamp", "created_timestamp", T0, hours(20)
    )
    past = history[history.event_timestamp <= hours(20)].sort_values(["event_timestamp", "created_timestamp"])
    want = past.groupby(["user_id", "item_id"]).n.last()
    assert got.to_df().set_index(["user_id", "item_id"]).n.sort_index().to_dict() == want.to_dict()
    assert got.to_arrow().schema.field("event_timestamp").type == pa.timestamp("us", tz="UTC")


def test_range_without_entity_rows_yields_every_row(
    run_sql: Callable[..., None], store_with: Callable[..., FeatureStore]
) -> None:
    history = pair_history(run_sql)
    store = store_with(view("pair", [user, item], {"n": Int64}))
    got = store.get_historical_features(features=["pair:n"], start_date=hours(10), end_date=hours(20)).to_df()
    inside = history[(history.event_timestamp >= hours(10)) & (history.event_timestamp <= hours(20))]
    assert sorted(got.n) == sorted(inside.n)
