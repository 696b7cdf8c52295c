"""What models learn from: the past by pairs."""

import numpy as np
import pyarrow as pa
import pytest

from pipelines.io.features import feast_store
from tests.feature_data import day, expected
from tests.io.conftest import EVENTS

pytestmark = pytest.mark.services


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
