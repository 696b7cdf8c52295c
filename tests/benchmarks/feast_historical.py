"""The point-in-time join against stock Feast on the same Postgres, with equal values."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from feast import FeatureStore

from pipelines.settings import Settings
from tests.benchmarks.feast_stores import END, FEATURES, OURS, STOCK, store, table, timed


def run(settings: Settings) -> Iterator[str]:
    """Yield a line for each measurement."""
    with tempfile.TemporaryDirectory() as folder:
        ours, stock = (store(settings, Path(folder), kind) for kind in (OURS, STOCK))
        for rows, users, asked in ((1_000_000, 100_000, 100_000), (1_000_000, 1_000, 10_000)):
            table(settings, rows, users)
            frame = _entity_rows(users, asked)
            yield _join(f"historical, {rows:,} rows of {users:,} users, {asked:,} asked", ours, stock, frame)


def _join(label: str, ours: FeatureStore, stock: FeatureStore, frame: pd.DataFrame) -> str:
    refs = [f"bench:{name}" for name in FEATURES]
    a, a_s = timed(lambda: ours.get_historical_features(frame, refs).to_df())
    b, b_s = timed(lambda: stock.get_historical_features(frame, refs).to_df())
    order = ["user_id", "event_timestamp"]
    a, b = (t.assign(event_timestamp=pd.to_datetime(t.event_timestamp, utc=True)).sort_values(order) for t in (a, b))
    pd.testing.assert_frame_equal(
        a[FEATURES].reset_index(drop=True), b[FEATURES].reset_index(drop=True), check_dtype=False
    )
    return f"{label}: {a_s:.1f} s, stock {b_s:.1f} s, {b_s / a_s:.0f}× (equal values)"


def _entity_rows(users: int, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    ids = "U" + pd.Series(rng.integers(0, users, n)).astype(str)
    # one time a row: stock Feast tells entity rows apart by key and time alone
    times = pd.Timestamp(END) - pd.to_timedelta(rng.permutation(n) * (170 * 86400 // n), unit="s")
    return pd.DataFrame({"user_id": ids, "event_timestamp": times})
