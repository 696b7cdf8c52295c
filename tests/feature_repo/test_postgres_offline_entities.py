"""What the offline store takes as entity rows, and that it hands them back as they were."""

from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureService, FeatureStore
from feast.errors import InvalidEntityType
from feast.types import Int64

from feature_repo.stores import postgres_offline
from tests.offline_data import T0, TABLE, RunSql, Stores, asked, hours, item, key_history, newest, user, view

pytestmark = pytest.mark.services
PAIR = ["user_id", "item_id", "event_timestamp"]


@pytest.fixture
def pairs(run_sql: RunSql, store_with: Stores) -> tuple[FeatureStore, pd.DataFrame]:
    """A store with the view ``hist`` of two keys, and the rows of its table."""
    history = key_history(run_sql, 2)
    return store_with(view("hist", [user, item], {"n": Int64})), history


def answers(store: FeatureStore, entity_rows: object) -> np.ndarray:
    return store.get_historical_features(entity_rows, ["hist:n"]).to_df().n.to_numpy(dtype=float)


def test_rows_come_as_an_arrow_table(pairs: tuple[FeatureStore, pd.DataFrame]) -> None:
    rows = asked()
    table = pa.Table.from_pandas(rows.assign(user_id=rows.user_id.astype("category")))
    np.testing.assert_array_equal(answers(pairs[0], table), newest(pairs[1], rows))


@pytest.mark.parametrize("kind", [str, Path])
def test_rows_come_from_a_parquet_file(
    pairs: tuple[FeatureStore, pd.DataFrame], tmp_path: Path, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_offline, "CHUNK_ROWS", 64)
    rows = asked()
    rows.to_parquet(tmp_path / "asked.parquet", row_group_size=50)
    np.testing.assert_array_equal(answers(pairs[0], kind(tmp_path / "asked.parquet")), newest(pairs[1], rows))


def test_rows_come_from_a_folder_of_parquet_files_in_their_order(
    pairs: tuple[FeatureStore, pd.DataFrame], tmp_path: Path
) -> None:
    rows, folder = asked(), tmp_path / "asked"
    folder.mkdir()
    for k in range(4):
        rows[k * 80 : (k + 1) * 80].to_parquet(folder / f"part-{k}.parquet")
    np.testing.assert_array_equal(answers(pairs[0], str(folder)), newest(pairs[1], rows))


def test_rows_from_a_file_that_is_not_there_name_it(pairs: tuple[FeatureStore, pd.DataFrame], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        answers(pairs[0], str(tmp_path / "none.parquet"))


def test_rows_of_another_kind_are_refused(pairs: tuple[FeatureStore, pd.DataFrame]) -> None:
    with pytest.raises(InvalidEntityType):
        answers(pairs[0], [1])


def test_rows_come_from_a_query_in_its_order_and_under_another_name(
    run_sql: RunSql, store_with: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_offline, "CHUNK_ROWS", 16)
    history, rows = key_history(run_sql, 2), asked(50)
    hist = view("hist", [user, item], {"n": Int64})
    service = FeatureService(name="s", features=[hist.with_name("seller").with_join_key_map({"user_id": "seller_id"})])
    store = store_with(hist, service)
    run_sql("CREATE TABLE asked (k int, seller_id text, item_id text, event_timestamp timestamptz, price numeric)")
    run_sql(
        "INSERT INTO asked VALUES (%s, %s, %s, %s, 1.25)",
        [(-k, r.user_id, r.item_id, r.event_timestamp) for k, r in enumerate(rows.itertuples())],
    )
    query = "SELECT k, seller_id, item_id, event_timestamp, price FROM asked ORDER BY k DESC;\n"
    got = store.get_historical_features(query, store.get_feature_service("s"), full_feature_names=True).to_df()
    assert got.k.tolist() == [-k for k in range(len(rows))]
    assert got.price.tolist() == [1.25] * len(rows)
    np.testing.assert_array_equal(got.seller__n.to_numpy(dtype=float), newest(history, rows))


def test_rows_keep_their_other_columns_in_chunks_too(
    pairs: tuple[FeatureStore, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_offline, "CHUNK_ROWS", 100)
    n = len(asked())
    late = [None] * (n - 1) + ["only the last"]  # chunks of nothing but nulls before it
    rows = asked().assign(
        late=late, kind=pd.Categorical(["a", "b"] * (n // 2)), maybe=pd.array([None, 3] * (n // 2), dtype="Int64"),
        tags=[["x", None], []] * (n // 2), flag=[True, None] * (n // 2), raw=[b"\0"] * n,
    )  # fmt: skip
    got = pairs[0].get_historical_features(rows, ["hist:n"]).to_df()
    assert [list(t) for t in got.tags] == rows.tags.tolist()
    others = [c for c in rows if c not in ("tags", "event_timestamp")]
    pd.testing.assert_frame_equal(got[others], rows[others])


def test_rows_times_are_utc_whatever_they_come_as(pairs: tuple[FeatureStore, pd.DataFrame]) -> None:
    store, history = pairs
    rows = asked(40)
    want = newest(history, rows)
    naive = rows.event_timestamp.dt.tz_localize(None)
    for times in (naive, naive.astype(str), rows.event_timestamp.dt.tz_convert("Asia/Tokyo")):
        job = store.get_historical_features(rows.assign(event_timestamp=times), ["hist:n"])
        np.testing.assert_array_equal(job.to_df().n.to_numpy(dtype=float), want)
        assert (job.to_df().event_timestamp == rows.event_timestamp).all()
        assert str(job.to_df().event_timestamp.dt.tz) == "UTC"
        table = pa.table(rows.assign(event_timestamp=times)[PAIR])
        np.testing.assert_array_equal(answers(store, table), want)


def test_rows_without_a_key_or_a_time_get_nulls(pairs: tuple[FeatureStore, pd.DataFrame]) -> None:
    rows = pd.DataFrame({
        "user_id": [None, float("nan"), pairs[1].user_id[0], pairs[1].user_id[0]],
        "item_id": [pairs[1].item_id[0]] * 4,
        "event_timestamp": [hours(99), hours(99), pd.NaT, hours(99)],
    })  # fmt: skip
    assert np.isnan(answers(pairs[0], rows)).tolist() == [True, True, True, False]


def test_rows_keys_are_whole_numbers_of_any_kind(run_sql: RunSql, store_with: Stores) -> None:
    kinds = {"i2": "smallint", "i4": "integer", "i8": "bigint", "t": "text", "v": "varchar(9)", "d": "numeric"}
    for name, kind in kinds.items():
        run_sql(TABLE.format(name, f"user_id {kind}, n bigint"))
        run_sql(f"INSERT INTO {name} VALUES ('2024-01-01Z', '2024-01-01Z', '2', 7)")
    store = store_with(*(view(name, [user], {"n": Int64}) for name in kinds))
    for keys in (pa.array([2, 3, None], pa.int64()), pa.array([2.0, float("nan"), None]), pa.array(["2", "3", None])):
        rows = pa.table({"user_id": keys, "event_timestamp": [hours(1)] * 3})
        job = store.get_historical_features(rows, [f"{name}:n" for name in kinds], full_feature_names=True)
        got = job.to_arrow().to_pydict()
        assert [got[f"{name}__n"] for name in kinds] == [[7, None, None]] * len(kinds)


def test_rows_keys_with_a_fraction_are_no_whole_number(run_sql: RunSql, store_with: Stores) -> None:
    run_sql(TABLE.format("one", "user_id bigint, n bigint"))
    run_sql("INSERT INTO one VALUES ('2024-01-01Z', '2024-01-01Z', 2, 7)")
    store = store_with(view("one", [user], {"n": Int64}))
    rows = pd.DataFrame({"user_id": [1.5, 2.5, 1e300, 2.0], "event_timestamp": T0})
    assert store.get_historical_features(rows, ["one:n"]).to_df().n.isna().tolist() == [True, True, True, False]


def test_rows_column_that_is_also_a_feature_is_refused(pairs: tuple[FeatureStore, pd.DataFrame]) -> None:
    with pytest.raises(ValueError, match=r"\['n'\]"):
        answers(pairs[0], asked().assign(n=1))


def test_rows_of_a_query_that_fails_say_why(pairs: tuple[FeatureStore, pd.DataFrame]) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable, match=r'^relation "nowhere" does not exist'):
        answers(pairs[0], "SELECT * FROM nowhere")


def test_rows_of_one_snapshot_ignore_what_comes_in_between(
    pairs: tuple[FeatureStore, pd.DataFrame], run_sql: RunSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_offline, "CHUNK_ROWS", 100)
    store, history = pairs
    rows = asked()
    batches = store.get_historical_features(rows, ["hist:n"]).to_batches(100)
    got = [next(batches)]
    run_sql("UPDATE hist SET n = -1")
    run_sql("SET lock_timeout = '100ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):  # nor can the table be swapped for another
        run_sql("ALTER TABLE hist RENAME TO hist_before")
    got += batches
    result = pa.Table.from_batches(got)["n"].to_pandas().to_numpy(dtype=float)
    np.testing.assert_array_equal(result, newest(history, rows))


def test_rows_file_may_be_of_any_length(pairs: tuple[FeatureStore, pd.DataFrame], tmp_path: Path) -> None:
    empty = asked().head(0)
    pq.write_table(pa.Table.from_pandas(empty), tmp_path / "none.parquet")
    assert len(answers(pairs[0], str(tmp_path / "none.parquet"))) == 0
