"""Which moments a view is asked for."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.stores import point_in_time
from feature_repo.stores.point_in_time import distinct

T0, T1 = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)


def chunked(*values: object) -> pa.ChunkedArray:
    return pa.chunked_array([list(values[:2]), list(values[2:])])


@pytest.mark.parametrize("most", [point_in_time.MOST, 5])
def test_distinct_rows_come_once_in_their_order_with_nulls_last(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(point_in_time, "MOST", most)  # 5: codes are packed again before each column
    keys = chunked("b", "a", "b", None, "a", "b")
    times = chunked(T0, T1, T0, T0, T0, T1)
    first, group = distinct([keys, times])
    assert first.tolist() == [4, 1, 0, 5, 3]  # (a, T0), (a, T1), (b, T0), (b, T1), (null, T0)
    assert group.tolist() == [2, 1, 2, 4, 0, 3]


def test_distinct_rows_of_nothing_are_none() -> None:
    first, group = distinct([pa.chunked_array([], pa.string()), pa.chunked_array([], pa.timestamp("us", "UTC"))])
    assert len(first) == len(group) == 0


def test_distinct_rows_lead_back_to_all_rows() -> None:
    rng = np.random.default_rng(2)
    columns = [pa.chunked_array([rng.integers(0, 9, 500)]) for _ in range(4)]
    first, group = distinct(columns)
    for column in columns:
        assert column.take(first[group]).equals(column)
    assert len(first) == len(set(zip(*(c.to_pylist() for c in columns), strict=True)))
