"""Rows that are appended to a view's table through Feast."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from feast import FeatureStore, FeatureView
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Array, Float64, Int32, String

from pipelines.settings import Settings
from tests.offline_data import T0, TABLE, RunSql, Stores, hours, user, view

pytestmark = pytest.mark.services
COLUMNS = "user_id text, n integer, x numeric(10, 2), names text[]"


@pytest.fixture
def store(run_sql: RunSql, store_with: Stores) -> FeatureStore:
    """A store with the view ``act``, whose table has no rows yet and none twice."""
    run_sql("CREATE SCHEMA features")
    run_sql(TABLE.format("features.act", COLUMNS))
    run_sql("CREATE UNIQUE INDEX ON features.act (user_id, event_timestamp DESC, created_timestamp DESC)")
    fields = {"n": Int32, "x": Float64, "names": Array(String)}
    return store_with(view("act", [user], fields, table="features.act"))


def rows(**columns: Any) -> pd.DataFrame:
    given = {"user_id": ["a", "b"], "n": [1, 2], "x": [0.5, None], "names": [["y", None], []]}
    times = {"event_timestamp": [hours(0), hours(1)], "created_timestamp": [hours(2), hours(3)]}
    return pd.DataFrame(given | times | columns)


def written(settings: Settings) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        query = "SELECT user_id, n, x::float8, names, event_timestamp, created_timestamp FROM features.act ORDER BY 1"
        return connection.execute(query).fetchall()


def append(store: FeatureStore, table: pa.Table) -> None:
    store._get_provider().offline_store.offline_write_batch(store.config, store.get_feature_view("act"), table, None)


def test_append_writes_every_type(store: FeatureStore, settings: Settings) -> None:
    frame = rows()[::-1].set_index(pd.Index([5, 3]))  # neither the columns' order nor the index matters
    store.write_to_offline_store("act", frame[frame.columns[::-1]])
    assert written(settings) == [
        ("a", 1, 0.5, ["y", None], hours(0), hours(2)),
        ("b", 2, None, [], hours(1), hours(3)),
    ]


def test_append_feeds_the_join(store: FeatureStore) -> None:
    store.write_to_offline_store("act", rows())
    store.write_to_offline_store("act", rows(n=[8, 9], created_timestamp=[hours(4), hours(4)]))
    ask = pd.DataFrame({"user_id": ["a", "b"], "event_timestamp": hours(5)})
    assert store.get_historical_features(ask, ["act:n"]).to_df().n.tolist() == [8, 9]


@pytest.mark.parametrize("created", [None, [pd.NaT, pd.NaT], [T0, pd.NaT]])
def test_append_fills_in_when_rows_were_created(store: FeatureStore, settings: Settings, created: Any) -> None:
    before = datetime.now(UTC)
    frame = rows().drop(columns="created_timestamp") if created is None else rows(created_timestamp=created)
    append(store, pa.Table.from_pandas(frame))
    times = [row[-1] for row in written(settings)]
    assert (times[0] == T0) == (created is not None and created[0] == T0)
    assert before <= times[1] <= datetime.now(UTC)


def test_append_takes_times_without_a_zone_as_utc(store: FeatureStore, settings: Settings) -> None:
    naive = rows().event_timestamp.dt.tz_localize(None)
    store.write_to_offline_store("act", rows(event_timestamp=naive))
    assert [row[4] for row in written(settings)] == [hours(0), hours(1)]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("n", ["1", "2"], r"features\.act\.n: expected int4, not (large_)?string: another kind"),
        ("n", [1.5, 2.0], r"features\.act\.n: expected int4, not double: .*truncated"),
        ("n", [2**31, 1], r"features\.act\.n: expected int4, not int64: .*not in range"),
        ("user_id", [1, 2], r"features\.act\.user_id: expected text, not int64"),
        ("names", ["a", "b"], r"features\.act\.names: expected _text, not (large_)?string"),
        ("event_timestamp", [1, 2], r"features\.act\.event_timestamp: expected timestamptz, not int64"),
    ],
)
def test_append_names_a_column_of_another_type(
    store: FeatureStore, settings: Settings, column: str, values: list[Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        store.write_to_offline_store("act", rows(**{column: values}))
    assert written(settings) == []


def test_append_names_columns_that_are_missing_or_unknown(store: FeatureStore) -> None:
    table = pa.Table.from_pandas(rows().rename(columns={"n": "m"}))
    with pytest.raises(ValueError, match=r"columns of features\.act: missing \['n'\], unknown \['m'\]"):
        append(store, table)


def test_append_writes_all_rows_or_none(store: FeatureStore, settings: Settings) -> None:
    store.write_to_offline_store("act", rows().head(1))
    with pytest.raises(psycopg.errors.UniqueViolation, match="already exists"):
        store.write_to_offline_store("act", rows())
    assert len(written(settings)) == 1


def test_append_to_a_query_is_refused(store_with: Stores, run_sql: RunSql) -> None:
    run_sql(TABLE.format("act", "user_id text, n integer"))
    source = PostgreSQLSource(name="q", query="SELECT * FROM act", timestamp_field="event_timestamp")
    fields = view("act", [user], {"n": Int32}).schema
    store = store_with(FeatureView(name="act", entities=[user], schema=fields, source=source))
    with pytest.raises(ValueError, match="q: rows can be appended only to a table"):
        store.write_to_offline_store("act", rows()[["event_timestamp", "created_timestamp", "user_id", "n"]])
