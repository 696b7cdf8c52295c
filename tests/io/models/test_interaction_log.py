import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError
from pipelines.io.models.interaction_log import InteractionLog, read

WEIGHTS = {"view": 1.0, "purchase": 8.0, "remove_from_cart": 0.0}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOURS = [NOON + timedelta(hours=n) for n in range(4)]


def _read(path: Path, columns: dict[str, Any], **options: Any) -> InteractionLog:
    pq.write_table(pa.table(columns), path / "log.parquet", **options)
    return read(path / "log.parquet", WEIGHTS)


def _rows(log: InteractionLog) -> list[tuple[Any, Any]]:
    """(user, item) in order, as they came."""
    of = log.interactions
    users, items = log.user_ids.take(pa.array(of.user_idx)), log.item_ids.take(pa.array(of.item_idx))
    return list(zip(users.to_pylist(), items.to_pylist(), strict=True))


def test_read_orders_by_time_and_leaves_ties_as_they_stand(tmp_path: Path) -> None:
    when = [HOURS[1], HOURS[0], HOURS[1], HOURS[0]]
    log = _read(tmp_path, {"user_id": ["b", "a", "a", "c"], "item_id": ["z", "y", "x", "w"], "timestamp": when})
    assert _rows(log) == [("a", "y"), ("c", "w"), ("b", "z"), ("a", "x")]
    assert log.interactions.epoch_s.tolist() == [t.timestamp() for t in sorted(when)]


def test_read_sorts_ids_as_text_and_keeps_them_as_numbers(tmp_path: Path) -> None:
    log = _read(tmp_path, {"user_id": [10, 9, 10, 2], "item_id": [7, 7, 8, 7], "timestamp": HOURS})
    assert log.interactions.user_ids.tolist() == ["10", "2", "9"]
    assert log.user_ids.to_pylist() == [10, 2, 9]
    assert log.user_ids.type == pa.int64()
    assert _rows(log) == [(10, 7), (9, 7), (10, 8), (2, 7)]


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (pa.string(), str), (pa.large_string(), str), (pa.dictionary(pa.int8(), pa.string()), str), (pa.int32(), int),
        (pa.uint64(), int), (pa.float64(), float), (pa.decimal128(9, 0), Decimal),
    ],
)  # fmt: skip
def test_read_takes_ids_of_any_type(kind: pa.DataType, made: Callable[[int], Any], tmp_path: Path) -> None:
    ids = [made(n) for n in (3, 11, 3, 2)]
    log = _read(tmp_path, {"user_id": pa.array(ids, kind), "item_id": [1, 1, 2, 2], "timestamp": HOURS})
    assert log.interactions.user_ids.tolist() == ["11", "2", "3"]
    assert _rows(log) == list(zip(ids, [1, 1, 2, 2], strict=True))


def test_read_puts_dictionaries_of_row_groups_together(tmp_path: Path) -> None:
    users = pa.array(["a", "b", "b", "c"], pa.dictionary(pa.int8(), pa.string()))
    columns = {"user_id": users, "item_id": ["w", "x", "y", "z"], "timestamp": HOURS}
    assert _rows(_read(tmp_path, columns, row_group_size=2)) == [("a", "w"), ("b", "x"), ("b", "y"), ("c", "z")]


def test_read_weighs_events_and_leaves_out_those_of_weight_zero(tmp_path: Path) -> None:
    types = ["purchase", "remove_from_cart", "wished_for", "view"]
    log = _read(tmp_path, {"user_id": [1] * 4, "item_id": [1, 2, 3, 4], "timestamp": HOURS, "event_type": types})
    assert log.interactions.weight.tolist() == [8, 1, 1]
    assert _rows(log) == [(1, 1), (1, 3), (1, 4)]


def test_read_without_event_types_weighs_all_alike(tmp_path: Path) -> None:
    log = _read(tmp_path, {"user_id": [1] * 4, "item_id": [1, 2, 3, 4], "timestamp": HOURS})
    assert log.interactions.weight.tolist() == [1] * 4
    assert np.isnan(log.price).all()


def test_read_orders_prices_with_their_rows(tmp_path: Path) -> None:
    columns = {"user_id": [1] * 4, "item_id": [1, 2, 3, 4], "timestamp": HOURS[::-1], "price": [4, None, 2.5, 1]}
    np.testing.assert_array_equal(_read(tmp_path, columns).price, [1, 2.5, np.nan, 4])


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_read_csv(name: str, tmp_path: Path) -> None:
    text = (
        "timestamp,item_id,event_type,user_id,price,other\n"
        "2026-01-02,007,view,12,1.5,x\n2026-01-01,7,purchase,3,,y\n2026-01-03 10:00,NA,view,12,2,\n"
    )
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    log = read(tmp_path / name, WEIGHTS)
    assert _rows(log) == [(3, "7"), (12, "007"), (12, "NA")]
    assert log.interactions.weight.tolist() == [8, 1, 1]
    np.testing.assert_array_equal(log.price, [np.nan, 1.5, 2])


def test_read_a_folder_of_parquet(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    for n, hour in enumerate(HOURS):
        pq.write_table(
            pa.table({"user_id": [f"u{n}"], "item_id": ["x"], "timestamp": [hour]}), tmp_path / f"log/{n}.parquet"
        )
    assert _rows(read(tmp_path / "log", WEIGHTS)) == [(f"u{n}", "x") for n in range(4)]


GOOD: dict[str, Any] = {"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": HOURS[:2]}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({**GOOD, "user_id": ["a", None]}, "user_id is null in 1 of 2 rows"),
        ({**GOOD, "item_id": [1.0, float("nan")]}, "item_id is null in 1 of 2 rows"),
        ({**GOOD, "timestamp": pa.array([None, None], pa.timestamp("us"))}, "timestamp is null in 2 of 2 rows"),
        ({**GOOD, "event_type": ["view", None]}, "event_type is null in 1 of 2 rows"),
        ({name: GOOD[name] for name in ("user_id", "timestamp")}, "no column item_id, only user_id, timestamp"),
        ({**GOOD, "timestamp": ["2026-01-01", "soon"]}, "timestamp is 'soon'"),
        ({**GOOD, "user_id": [[1], [2]]}, "user_id is of type list"),
        ({**GOOD, "price": ["1", "cheap"]}, "price is of type .*, not numbers"),
        ({name: pa.array([], pa.string()) for name in GOOD}, "has no rows"),
    ],
)
def test_read_says_what_is_wrong(columns: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        _read(tmp_path, columns)


def test_read_says_which_file_is_missing_or_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log\.parquet is missing"):
        read(tmp_path / "log.parquet", WEIGHTS)
    (tmp_path / "log.parquet").write_text("user_id,item_id\n")
    with pytest.raises(InputError, match=r"log\.parquet can't be read"):
        read(tmp_path / "log.parquet", WEIGHTS)


def test_read_csv_with_null_ids_says_so(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\na,x,2026-01-01\n,y,2026-01-01\n")
    with pytest.raises(InputError, match="user_id is null in 1 of 2 rows"):
        read(tmp_path / "log.csv", WEIGHTS)
