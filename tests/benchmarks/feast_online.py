"""Materialization against stock Feast on the same Postgres and Redis, with equal values."""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import FeatureStore

from pipelines.settings import Settings
from tests.benchmarks.feast_stores import END, FEATURES, OURS, STOCK, store, table, timed


def run(settings: Settings) -> Iterator[str]:
    """Yield a line for each measurement."""
    with tempfile.TemporaryDirectory() as folder:
        ours, stock = (store(settings, Path(folder), kind) for kind in (OURS, STOCK))
        table(settings, 100_000, 100_000)
        yield _materialize("materialize 100,000 users × 10 features", ours, stock)


def _materialize(label: str, ours: FeatureStore, stock: FeatureStore) -> str:
    _, a_s = timed(lambda: ours.materialize(END - timedelta(days=400), END))
    users = [{"user_id": f"U{n}"} for n in range(0, 100_000, 997)]
    refs = [f"bench:{name}" for name in FEATURES]
    a = ours.get_online_features(refs, users).to_df()
    _, b_s = timed(lambda: stock.materialize(END - timedelta(days=400), END))
    pd.testing.assert_frame_equal(a, stock.get_online_features(refs, users).to_df()[a.columns])
    return f"{label}: {a_s:.1f} s, stock {b_s:.1f} s, {b_s / a_s:.0f}× (equal values)"
