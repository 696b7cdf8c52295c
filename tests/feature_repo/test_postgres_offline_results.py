"""What the offline store's jobs give: types, streams, saved datasets, newest rows."""

from collections.abc import Generator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, Field
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import SavedDatasetPostgreSQLStorage
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from psycopg import sql

from feature_repo.stores import postgres_offline
from feature_repo.stores.retrieval import CopyRetrievalJob
from pipelines.settings import Settings
from tests.offline_data import T0, TABLE, RunSql, Stores, asked, hours, item, key_history, newest, user, view

pytestmark = pytest.mark.services

TYPED: dict[str, tuple[str, Any, pa.DataType]] = {
    "b": ("bool", True, pa.bool_()),
    "i2": ("smallint", -2, pa.int16()),
    "i4": ("integer", 2**31 - 1, pa.int32()),
    "i8": ("bigint", 2**62, pa.int64()),
    "f4": ("real", 0.5, pa.float32()),
    "f8": ("double precision", 0.1, pa.float64()),
    "num": ("numeric(20, 4)", 12.25, pa.float64()),
    "by": ("bytea", b"\0\\x", pa.binary()),
    "d": ("date", date(2024, 2, 29), pa.date32()),
    "tz": ("timestamptz", T0, pa.timestamp("us", "UTC")),
    "ts": ("timestamp", T0.replace(tzinfo=None), pa.timestamp("us")),
    "u": ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", pa.string()),
    "j": ("jsonb", '{"a": [1, null]}', pa.string()),
    "ta": ("text[]", ["a", None, "", 'x"y,{}'], pa.list_(pa.string())),
    "ia": ("bigint[]", [1, None, -1], pa.list_(pa.int64())),
    "fa": ("double precision[]", [0.5, float("inf")], pa.list_(pa.float64())),
    "ba": ("boolean[]", [True, None], pa.list_(pa.bool_())),
    "na": ("numeric[]", [1.5], pa.list_(pa.float64())),
    "ea": ("text[]", [], pa.list_(pa.string())),
}


@pytest.fixture
def pairs(run_sql: RunSql, store_with: Stores) -> tuple[FeatureStore, pd.DataFrame]:
    """A store with the view ``hist`` of two keys, and the rows of its table."""
    history = key_history(run_sql, 2)
    return store_with(view("hist", [user, item], {"n": Int64})), history


def test_result_has_arrows_types_and_nulls(run_sql: RunSql, store_with: Stores) -> None:
    run_sql(TABLE.format("typed", ", ".join(["user_id text", *(f"{n} {kind}" for n, (kind, _, _) in TYPED.items())])))
    values = [value for _, value, _ in TYPED.values()]
    marks = ", ".join(f"%s::{kind}" for kind, _, _ in TYPED.values())
    run_sql(f"INSERT INTO typed VALUES (%s, %s, 'a', {marks})", [(T0, T0, *values)])
    run_sql("INSERT INTO typed (event_timestamp, user_id) VALUES (%s, 'b')", [(T0,)])
    store = store_with(view("typed", [user], dict.fromkeys(TYPED, String)))
    ask = pd.DataFrame({"user_id": ["b", "a", "nobody"], "event_timestamp": hours(1)})
    got = store.get_historical_features(ask, [f"typed:{n}" for n in TYPED]).to_arrow()
    assert {n: got.schema.field(n).type for n in TYPED} == {n: kind for n, (_, _, kind) in TYPED.items()}
    assert {n: got[n].to_pylist() for n in TYPED} == {n: [None, v, None] for n, (_, v, _) in TYPED.items()}
    assert not any(field.metadata for field in got.schema)


def test_result_keeps_texts_and_absent_values_apart(run_sql: RunSql, store_with: Stores) -> None:
    run_sql(TABLE.format("texts", "user_id text, raw_t text, x float8"))
    values: list[Any] = ["", None, 'a "quoted", text', "two\nlines", "ü", "NULL", "\\N"]
    run_sql(
        "INSERT INTO texts VALUES (%s, %s, %s, %s, %s)",
        [(T0, T0, str(k), t, float("nan")) for k, t in enumerate(values)],
    )
    store = store_with(view("texts", [user], {"t": String, "x": Float64}, field_mapping={"raw_t": "t"}))
    ask = pd.DataFrame({"user_id": [str(k) for k in range(8)], "event_timestamp": hours(1)})
    got = store.get_historical_features(ask, ["texts:t", "texts:x"]).to_arrow()
    assert got["t"].to_pylist() == [*values, None]
    assert np.isnan(got["x"].to_pylist()[0])
    assert got["x"].to_pylist()[7] is None


def test_result_streams_in_batches_of_a_size(
    pairs: tuple[FeatureStore, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_offline, "CHUNK_ROWS", 30)
    rows = asked()
    batches = list(pairs[0].get_historical_features(rows, ["hist:n"]).to_batches(100))
    assert [batch.num_rows for batch in batches] == [100, 100, 100, 20]
    got = pa.Table.from_batches(batches)
    np.testing.assert_array_equal(got["n"].to_pandas().to_numpy(dtype=float), newest(pairs[1], rows))


def test_result_that_is_left_half_read_lets_go_of_the_table(
    pairs: tuple[FeatureStore, pd.DataFrame], run_sql: RunSql
) -> None:
    batches = latest(pairs[0]).to_batches(10)
    next(batches)
    batches.close()
    run_sql("SET lock_timeout = '2s'")
    run_sql("DROP TABLE hist")


def test_result_streams_on_demand_features(run_sql: RunSql, store_with: Stores, tmp_path: Path) -> None:
    history, rows = key_history(run_sql, 2), asked()
    hist = view("hist", [user, item], {"n": Int64})

    @on_demand_feature_view(sources=[hist], schema=[Field(name="double", dtype=Float64)], mode="pandas")
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"double": inputs["n"] * 2.0})

    job = store_with(hist, doubled).get_historical_features(rows, ["hist:n", "doubled:double"])
    job.persist(SavedDatasetFileStorage(str(tmp_path / "saved.parquet")))
    got = pq.read_table(tmp_path / "saved.parquet").to_pandas()
    np.testing.assert_array_equal(got.double.to_numpy(dtype=float), newest(history, rows) * 2)


def test_dataset_is_saved_as_parquet_and_read_again(pairs: tuple[FeatureStore, pd.DataFrame], tmp_path: Path) -> None:
    store, rows = pairs[0], asked()
    job = store.get_historical_features(rows, ["hist:n"])
    storage = SavedDatasetFileStorage(str(tmp_path / "data" / "saved.parquet"))
    saved = store.create_saved_dataset(job, "saved", storage)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["saved.parquet"]
    got = saved.to_df()
    np.testing.assert_array_equal(got.n.to_numpy(dtype=float), newest(pairs[1], rows))
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


def test_dataset_is_saved_as_a_table_and_read_again(pairs: tuple[FeatureStore, pd.DataFrame], run_sql: RunSql) -> None:
    run_sql("CREATE SCHEMA saved")
    store, rows = pairs[0], asked()
    job = store.get_historical_features(rows, ["hist:n"])
    storage = SavedDatasetPostgreSQLStorage("saved.pairs")
    saved = store.create_saved_dataset(job, "saved", storage)
    got = saved.to_arrow().group_by(["user_id", "item_id", "event_timestamp"]).aggregate([("n", "max")])
    assert got.num_rows == len(rows) - 20  # 20 of them twice
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


def test_dataset_that_fails_leaves_the_old_one(pairs: tuple[FeatureStore, pd.DataFrame], tmp_path: Path) -> None:
    path = tmp_path / "saved" / "old.parquet"
    path.parent.mkdir()
    path.write_text("old")

    def broken() -> Generator[pa.Table]:
        yield pa.table({"n": [1]})
        raise psycopg.DatabaseError("gone")

    job = CopyRetrievalJob("", pairs[0].config, False, tables=broken)
    with pytest.raises(psycopg.DatabaseError, match="gone"):
        job.persist(SavedDatasetFileStorage(str(path)), allow_overwrite=True)
    assert [(p.name, p.read_text()) for p in path.parent.iterdir()] == [("old.parquet", "old")]


def test_result_that_breaks_says_why_in_postgres_words(
    pairs: tuple[FeatureStore, pd.DataFrame], run_sql: RunSql
) -> None:
    run_sql("CREATE VIEW late AS SELECT 1 / (n - (SELECT max(n) FROM hist)) AS broken FROM hist")
    job = CopyRetrievalJob("SELECT broken FROM late", pairs[0].config, False)
    with pytest.raises(psycopg.DatabaseError, match=r"^division by zero"):
        job.to_df()


def latest(store: FeatureStore, end: float = 20, keys: tuple[str, ...] = ("user_id", "item_id")) -> CopyRetrievalJob:
    return store._get_provider().offline_store.pull_latest_from_table_or_query(
        store.config, store.get_feature_view("hist").batch_source, list(keys), ["n"], "event_timestamp",
        "created_timestamp", T0, hours(end),
    )  # fmt: skip


@pytest.mark.parametrize("never_null", [False, True])
def test_latest_rows_are_the_newest_up_to_the_end(
    pairs: tuple[FeatureStore, pd.DataFrame], run_sql: RunSql, never_null: bool
) -> None:
    store, history = pairs
    if never_null:
        run_sql("UPDATE hist SET created_timestamp = '1970-01-01Z' WHERE created_timestamp IS NULL")
        run_sql("ALTER TABLE hist ALTER created_timestamp SET NOT NULL")
    past = history[history.event_timestamp <= hours(20)]
    order = past.sort_values(["event_timestamp", "created_timestamp"], na_position="first")
    want = order.groupby(["user_id", "item_id"]).n.last()
    batches = list(latest(store).to_batches(50))
    assert {batch.num_rows for batch in batches[:-1]} == {50}
    got = pa.Table.from_batches(batches)
    assert got.to_pandas().set_index(["user_id", "item_id"]).n.sort_index().to_dict() == want.to_dict()
    assert got.column_names == ["user_id", "item_id", "n", "event_timestamp", "created_timestamp"]
    assert got.schema.field("event_timestamp").type == pa.timestamp("us", tz="UTC")


def test_latest_row_of_a_view_without_keys_is_one(run_sql: RunSql, store_with: Stores) -> None:
    history = key_history(run_sql, 0)
    store = store_with(view("hist", [], {"n": Int64}))
    [got] = latest(store, keys=()).to_arrow().to_pylist()
    at = pd.DataFrame({"event_timestamp": [hours(20)]})
    assert got["n"] == newest(history, at)[0]
    assert got["__dummy_id"] == ""


def test_store_uses_feasts_connection_settings(settings: Settings, run_sql: RunSql, store_with: Stores) -> None:
    name, password = f"{settings.postgres_db}_r", r"""p a's"\s@:/?#%w=$ö"""
    run_sql(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))
    try:
        run_sql(f"CREATE SCHEMA shop AUTHORIZATION {name}")
        key_history(run_sql, 2)
        run_sql("ALTER TABLE hist SET SCHEMA shop")
        run_sql(f"GRANT SELECT ON shop.hist TO {name}")
        store = store_with(view("hist", [user, item], {"n": Int64}), user=name, password=password, db_schema="shop")
        assert latest(store).to_arrow().num_rows > 0
        wrong = store_with(view("hist", [user, item], {"n": Int64}), user=f"{name}_no", password="no", db_schema="shop")
        refused = rf'^(password authentication failed for user|role) "{name}_no"'  # a named server may trust who comes
        with pytest.raises(psycopg.OperationalError, match=refused):
            latest(wrong)
    finally:
        run_sql(f"DROP OWNED BY {name} CASCADE")
        run_sql(f"DROP ROLE {name}")
