"""The point-in-time join against stock Feast on the same Postgres, with equal values."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Int64, String

from pipelines.settings import Settings
from tests.benchmarks.feast_stores import END, FEATURES, OURS, STOCK, store, table, timed

SIZES = ((1_000_000, 100_000, 100_000), (1_000_000, 1_000, 10_000))
VIEWS = {"bench_user": ["user_id"], "bench_item": ["item_id"], "bench_pair": ["user_id", "item_id"]}
MANY = 1_000_000


def run(settings: Settings) -> Iterator[str]:
    """Yield a line for each measurement."""
    with tempfile.TemporaryDirectory() as folder:
        ours, stock = (store(settings, Path(folder), kind) for kind in (OURS, STOCK))
        for rows, users, asked in SIZES:
            table(settings, rows, users)
            frame = _entity_rows(users, asked)
            yield _join(f"historical, {rows:,} rows of {users:,} users, {asked:,} asked", ours, stock, frame)
        yield _three_views(settings, ours)


def _join(label: str, ours: FeatureStore, stock: FeatureStore, frame: pd.DataFrame) -> str:
    refs = [f"bench:{name}" for name in FEATURES]
    a, a_s = timed(lambda: ours.get_historical_features(frame, refs).to_df())
    b, b_s = timed(lambda: stock.get_historical_features(frame, refs).to_df())
    order = ["user_id", "event_timestamp"]
    a, b = (t.assign(event_timestamp=pd.to_datetime(t.event_timestamp, utc=True)).sort_values(order) for t in (a, b))
    pd.testing.assert_frame_equal(
        a[FEATURES].reset_index(drop=True), b[FEATURES].reset_index(drop=True), check_dtype=False
    )
    return f"{label}: {a_s:.2f} s, stock {b_s:.1f} s, {b_s / a_s:.1f}× (equal values)"


def _three_views(settings: Settings, ours: FeatureStore) -> str:
    """Three views of a million rows each in a process of its own, whose memory is looked at; a sample is checked."""
    _make_tables(settings)
    ours.apply(_views())
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        seconds, cpu, peak = process.submit(_retrieve, ours.config).result()
    label = f"historical, 3 views of 1,000,000 rows, {MANY:,} asked"
    return f"{label}: {seconds:.1f} s ({cpu:.1f} s of them the client's CPU), {peak:.0f} MB at most (sample checked)"


def _retrieve(config: RepoConfig) -> tuple[float, float, float]:
    """Seconds, those of them that the client computed, and its largest resident memory, MB."""
    ours, frame = FeatureStore(config=config), _pairs(MANY)
    began = time.perf_counter(), time.process_time()
    refs = [f"{view}:{name}" for view in VIEWS for name in FEATURES]
    result = ours.get_historical_features(frame, refs, full_feature_names=True).to_arrow()
    seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    peak = _peak()
    for view, keys in VIEWS.items():
        _check(view, keys, frame, result[f"{view}__f0"].to_numpy())
    return seconds, cpu, peak


def _peak() -> float:
    """MB; what getrusage says would include the parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _check(view: str, keys: list[str], frame: pd.DataFrame, got: np.ndarray) -> None:
    """Hold a thousandth of the answers to `merge_asof`, on a table computed as Postgres computed it."""
    sample = frame.assign(got=got).iloc[::1000].sort_values("event_timestamp")
    n = np.arange(1, 1_000_001)
    history = pd.DataFrame({"user_id": n % 100_000, "item_id": n * 7 % 20_000, "want": n * 7 % 1000}).astype("int64")
    times = (pd.Timestamp(END) - pd.to_timedelta(n * 15, unit="s")).as_unit("ns")
    history = history.assign(event_timestamp=times)[::-1]
    history[keys] = history[keys].astype(str).radd(pd.Series({k: k[0].upper() for k in keys}))
    found = pd.merge_asof(sample, history, on="event_timestamp", by=keys)
    np.testing.assert_array_equal(found.got.to_numpy(dtype=float), found.want.to_numpy(dtype=float), err_msg=view)


def _make_tables(settings: Settings) -> None:
    values = ", ".join(f"(n * {i + 7}) % 1000 AS {name}" for i, name in enumerate(FEATURES))
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as connection:
        for name, keys in VIEWS.items():
            columns = {"user_id": "'U' || n % 100000 AS user_id", "item_id": "'I' || n * 7 % 20000 AS item_id"}
            for statement in (
                f"DROP TABLE IF EXISTS {name}",
                f"CREATE TABLE {name} AS SELECT {', '.join(columns[key] for key in keys)}, "
                f"timestamptz '{END}' - n * interval '15 seconds' AS event_timestamp, "
                f"timestamptz '{END}' AS created_timestamp, {values} FROM generate_series(1::bigint, 1000000) AS n",
                f"ALTER TABLE {name} ALTER created_timestamp SET NOT NULL",
                f"CREATE UNIQUE INDEX ON {name} ({', '.join(keys)}, event_timestamp DESC, created_timestamp DESC)",
                f"ANALYZE {name}",
            ):
                connection.execute(statement)  # type: ignore[call-overload]


def _views() -> list[Entity | FeatureView]:
    entities = {
        key: Entity(name=key.removesuffix("_id"), join_keys=[key], value_type=ValueType.STRING)
        for key in ("user_id", "item_id")
    }
    times = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created_timestamp"}
    views = [
        FeatureView(
            name=name,
            entities=[entities[key] for key in keys],
            schema=[*(Field(name=k, dtype=String) for k in keys), *(Field(name=f, dtype=Int64) for f in FEATURES)],
            source=PostgreSQLSource(name=f"{name}_source", table=name, **times),
            ttl=timedelta(0),
        )
        for name, keys in VIEWS.items()
    ]
    return [*entities.values(), *views]


def _pairs(n: int) -> pd.DataFrame:
    """Entity rows as training has them: a user's candidates share the moment; half of them are pairs with a history."""
    rng = np.random.default_rng(4)
    event = rng.integers(1, 1_000_001, n // 20).repeat(20)
    item = np.where(rng.random(n) < 0.5, event * 7 % 20_000, rng.integers(0, 20_000, n))
    times = pd.Timestamp(END) - pd.to_timedelta(rng.integers(0, 170 * 86400, n // 20).repeat(20), unit="s")
    users = "U" + pd.Series(event % 100_000).astype(str)
    return pd.DataFrame({"user_id": users, "item_id": "I" + pd.Series(item).astype(str), "event_timestamp": times})


def _entity_rows(users: int, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    ids = "U" + pd.Series(rng.integers(0, users, n)).astype(str)
    # one time a row: stock Feast tells entity rows apart by key and time alone
    times = pd.Timestamp(END) - pd.to_timedelta(rng.permutation(n) * (170 * 86400 // n), unit="s")
    return pd.DataFrame({"user_id": ids, "event_timestamp": times})
