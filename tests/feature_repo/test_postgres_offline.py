"""The offline store's point-in-time join against pandas and against Feast's own store."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import Field
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.offline_utils import get_feature_view_query_context
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

from feature_repo.stores.arrow_copy import session
from feature_repo.stores.point_in_time import ViewJoin
from tests.offline_data import (
    T0,
    TABLE,
    RunSql,
    Stores,
    asked,
    hours,
    item,
    key_history,
    newest,
    shop,
    user,
    view,
)

pytestmark = pytest.mark.services


@pytest.mark.parametrize("keys", [0, 1, 2, 3])
def test_join_equals_a_search_row_by_row(run_sql: RunSql, store_with: Stores, keys: int) -> None:
    history, rows = key_history(run_sql, keys), asked()
    entities = [user, item, shop][:keys]
    ttls = {"ever": None, "young": 5}
    views = [
        view(name, entities, {"n": Int64}, table="hist", ttl=timedelta(hours=ttl or 0)) for name, ttl in ttls.items()
    ]
    store = store_with(*views)
    for known_then in (False, True):
        job = store.get_historical_features(
            rows, [f"{name}:n" for name in ttls], full_feature_names=True, filter_by_created_timestamp=known_then
        )
        got = job.to_df()
        pd.testing.assert_frame_equal(got[list(rows)], rows, check_dtype=False)
        for name, ttl in ttls.items():
            want = newest(history, rows, ttl, known_then)
            np.testing.assert_array_equal(got[f"{name}__n"].to_numpy(dtype=float), want)
            assert 0 < np.isnan(want).sum() < len(want)


def test_join_prefers_any_created_timestamp_to_none(run_sql: RunSql, store_with: Stores) -> None:
    run_sql(TABLE.format("one", "user_id text, n bigint"))
    run_sql(
        "INSERT INTO one VALUES ('2024-01-01Z', null, 'a', 1), ('2024-01-01Z', '1970-01-01Z', 'a', 2), "
        "('2024-01-01Z', null, 'b', 3)"
    )
    store = store_with(view("one", [user], {"n": Int64}))
    rows = pd.DataFrame({"user_id": ["a", "b"], "event_timestamp": hours(1)})
    assert store.get_historical_features(rows, ["one:n"]).to_df().n.tolist() == [2, 3]


@pytest.mark.parametrize("declared", ["", "NOT NULL"])
def test_join_reads_an_index_and_sorts_only_where_created_may_be_null(
    run_sql: RunSql, store_with: Stores, declared: str
) -> None:
    run_sql(
        "CREATE TABLE one (event_timestamp timestamptz, user_id text, n bigint, "
        f"created_timestamp timestamptz {declared})"
    )
    store = store_with(view("one", [user], {"n": Int64}))
    job = store.get_historical_features(pd.DataFrame({"user_id": ["a"], "event_timestamp": [T0]}), ["one:n"])
    assert ("NULLS LAST" in job.to_sql()) == (not declared)


def test_join_on_two_keys_tells_apart_what_concatenates_to_the_same(run_sql: RunSql, store_with: Stores) -> None:
    run_sql(TABLE.format("hist", "user_id text, item_id text, n bigint"))
    run_sql(
        "INSERT INTO hist (event_timestamp, user_id, item_id, n) "
        "VALUES ('2024-01-01Z', '1', '23', 1), ('2024-01-01Z', '12', '3', 2)"
    )
    store = store_with(view("hist", [user, item], {"n": Int64}))
    rows = pd.DataFrame({"user_id": ["12", "1"], "item_id": ["3", "23"], "event_timestamp": hours(1)})
    assert store.get_historical_features(rows, ["hist:n"]).to_df().n.tolist() == [2, 1]


def test_join_equals_merge_asof_and_feasts_own_store_on_one_key(run_sql: RunSql, store_with: Stores) -> None:
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
    rows = asked().drop(columns=["item_id", "shop_id"])
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


def test_join_feeds_on_demand_views(run_sql: RunSql, store_with: Stores) -> None:
    key_history(run_sql, 2)
    pairs = view("hist", [user, item], {"n": Int64})

    @on_demand_feature_view(sources=[pairs], schema=[Field(name="double", dtype=Float64)], mode="pandas")
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"double": inputs["n"] * 2.0})

    got = store_with(pairs, doubled).get_historical_features(asked(), ["hist:n", "doubled:double"]).to_df()
    np.testing.assert_array_equal(got.double.to_numpy(), got.n.to_numpy(dtype=float) * 2)


def test_join_of_no_rows_has_the_features_columns(run_sql: RunSql, store_with: Stores) -> None:
    key_history(run_sql, 2)
    store = store_with(view("hist", [user, item], {"n": Int64}))
    got = store.get_historical_features(asked().head(0), ["hist:n"]).to_arrow()
    assert got.num_rows == 0
    assert got.schema.field("n").type == pa.int64()


def test_join_without_a_key_names_it(run_sql: RunSql, store_with: Stores) -> None:
    key_history(run_sql, 2)
    store = store_with(view("hist", [user, item], {"n": Int64}))
    with pytest.raises(FeastEntityDFMissingColumnsError, match="item_id"):
        store.get_historical_features(asked().drop(columns="item_id"), ["hist:n"]).to_df()


def test_range_without_entity_rows_yields_every_row(run_sql: RunSql, store_with: Stores) -> None:
    history = key_history(run_sql, 2)
    store = store_with(view("hist", [user, item], {"n": Int64}))
    got = store.get_historical_features(features=["hist:n"], start_date=hours(10), end_date=hours(20)).to_df()
    inside = history[(history.event_timestamp >= hours(10)) & (history.event_timestamp <= hours(20))]
    assert sorted(got.n) == sorted(inside.n)


def test_join_takes_a_tables_times_without_a_zone_as_utc(run_sql: RunSql, store_with: Stores) -> None:
    run_sql("CREATE TABLE one (user_id text, n bigint, event_timestamp timestamp, created_timestamp timestamp)")
    run_sql("INSERT INTO one VALUES ('a', 1, '2024-01-01 00:00', null), ('a', 2, '2024-01-01 01:00', null)")
    store = store_with(view("one", [user], {"n": Int64}))
    rows = pd.DataFrame({"user_id": "a", "event_timestamp": [hours(-0.1), hours(0), hours(0.9), hours(1)]})
    got = store.get_historical_features(rows, ["one:n"]).to_df().n
    assert got.isna().tolist() == [True, False, False, False]
    assert got[1:].tolist() == [1, 1, 2]


def test_join_needs_no_order_of_what_postgres_answers(run_sql: RunSql, store_with: Stores) -> None:
    history, rows = key_history(run_sql, 2), asked()
    store = store_with(view("hist", [user, item], {"n": Int64}))
    refs, views = ["hist:n"], [store.get_feature_view("hist")]
    [context] = get_feature_view_query_context(refs, views, store.registry, store.project, (T0, T0))
    with session(store.config.offline_store) as postgres:
        join = ViewJoin.of(postgres, context, "event_timestamp", full=False, known=False)
        shuffled = replace(join, query=f"{join.query} ORDER BY md5(e.place::text)")
        got = shuffled.features(postgres, pa.Table.from_pandas(rows))
    np.testing.assert_array_equal(got["n"].to_pandas().to_numpy(dtype=float), newest(history, rows))
