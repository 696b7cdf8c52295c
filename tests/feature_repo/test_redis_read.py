"""Bulk reads: what ours or Feast's own store wrote, as columns by name, in one round trip."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.types import Float64, Int64, String
from feast.utils import _convert_arrow_to_proto

from feature_repo.stores.redis_decode import NUMERIC
from feature_repo.stores.redis_read import Columns, Read
from tests.online_data import KEYS, LONG, TIMES, US, VALUES, item, online, python, row, three_rows, user, view_of, write

pytestmark = pytest.mark.services

STOCK = "redis"


def read(store: FeatureStore, *reads: tuple[str, dict[str, Any], list[str]]) -> list[Columns]:
    asked = [Read(store.get_feature_view(view), keys, features) for view, keys, features in reads]
    return online(store).read_columns(store.config, asked)


def expected(name: str) -> np.ndarray[Any, Any]:
    """Numbers as float64 (times in seconds), everything else as objects."""
    values = python(name)
    if VALUES[name][0].to_value_type() in NUMERIC:
        numbers = [value.timestamp() if hasattr(value, "timestamp") else value for value in values]
        return np.array([np.nan if value is None else value for value in numbers], dtype=np.float64)
    objects: np.ndarray[Any, Any] = np.empty(len(values), object)
    objects[:] = values
    return objects


@pytest.mark.parametrize("name", VALUES)
def test_feast_reads_what_we_write(name: str, store_of: Callable[..., FeatureStore]) -> None:
    view = view_of([user, item], f=VALUES[name][0])
    write(store_of(view), three_rows(name))
    stock = store_of(view, kind=STOCK)
    asked = {key: [*values, values[0]] for key, values in KEYS.items()}
    got = stock.get_online_features(["v:f"], asked).to_dict()["f"]
    assert got == [*python(name), python(name)[0]]


@pytest.mark.parametrize("name", VALUES)
def test_read_columns_reads_what_feast_writes(name: str, store_of: Callable[..., FeatureStore]) -> None:
    view = view_of([user, item], f=VALUES[name][0])
    stock = store_of(view, kind=STOCK)
    types = {"user_id": user.value_type, "item_id": item.value_type}
    protos = _convert_arrow_to_proto(three_rows(name), stock.get_feature_view("v"), types)
    stock._get_provider().online_write_batch(stock.config, stock.get_feature_view("v"), protos, None)
    (got,) = read(store_of(view), ("v", KEYS, ["f"]))
    want = expected(name)
    assert got.values["f"].dtype == want.dtype
    np.testing.assert_array_equal(got.values["f"], want)
    assert got.event_timestamp.dtype == np.dtype("M8[us]")
    assert got.event_timestamp.tolist() == [time.replace(tzinfo=None) for time in TIMES]


def test_retain_finds_what_feast_wrote(client: Any, store_of: Callable[..., FeatureStore]) -> None:
    view = view_of([user], n=Int64)
    stock = store_of(view, kind=STOCK)
    for name in "ab":
        stock.write_to_online_store("v", row(name, 1).to_pandas())
    ours = store_of(view)
    assert online(ours).retain(ours.config, ours.get_feature_view("v"), pa.table({"user_id": ["b"]})) == 1
    assert client.dbsize() == 1


def test_read_columns_answers_in_the_order_asked_with_repeated_and_unknown_entities(
    store_of: Callable[..., FeatureStore],
) -> None:
    store = store_of(view_of([user], n=Int64))
    write(store, pa.concat_tables([row("a", 1), row("b", 2, TIMES[1]), row("c", None)]))
    (got,) = read(store, ("v", {"user_id": np.array(["b", "nobody", "a", "b", "c"])}, ["n"]))
    np.testing.assert_array_equal(got.values["n"], [2, np.nan, 1, 2, np.nan])
    times = [TIMES[1], None, TIMES[0], TIMES[1], TIMES[0]]
    assert got.event_timestamp.tolist() == [time and time.replace(tzinfo=None) for time in times]


def test_read_columns_of_several_views_are_each_under_their_own_name_and_order(
    store_of: Callable[..., FeatureStore],
) -> None:
    store = store_of(
        view_of([user], "one", n=Int64, x=Float64, title=String), view_of([user], "two", n=Int64),
        view_of([user, item], "pair", n=Int64),
    )  # fmt: skip
    users, pairs = {"user_id": ["a", "b"]}, {"item_id": [7, 8, 9], "user_id": ["a"] * 3}
    write(store, row("a", 1).append_column("x", pa.array([0.5])).append_column("title", pa.array([LONG])), "one")
    write(store, row("b", 2), "two")
    write(store, row("a", 3).append_column("item_id", pa.array([8])), "pair")
    pair, two, one, title = read(
        store, ("pair", pairs, ["n"]), ("two", users, ["n"]), ("one", users, ["x", "n"]), ("one", users, ["title"])
    )
    np.testing.assert_array_equal(pair.values["n"], [np.nan, 3, np.nan])
    np.testing.assert_array_equal(two.values["n"], [np.nan, 2])
    assert list(one.values) == ["x", "n"]
    np.testing.assert_array_equal(list(one.values.values()), [[0.5, np.nan], [1, np.nan]])
    assert title.values["title"].tolist() == [LONG, None]
    assert np.isnat(two.event_timestamp).tolist() == [True, False]


def test_read_columns_asks_once_for_each_entity_and_at_one_go(
    client: Any, store_of: Callable[..., FeatureStore]
) -> None:
    store = store_of(view_of([user], "one", n=Int64), view_of([user], "two", n=Int64), view_of([item], "i", n=Int64))
    reads: list[Any] = [
        ("one", {"user_id": ["a", "b", "a"]}, ["n"]), ("two", {"user_id": np.array(["a", "b", "a"])}, ["n"]),
        ("i", {"item_id": [1, 2, 3]}, ["n"]),
    ]  # fmt: skip
    read(store, *reads)
    client.config_resetstat()
    read(store, *reads)
    assert client.info("commandstats")["cmdstat_hmget"]["calls"] == 5
    assert client.info("stats")["total_reads_processed"] <= 4  # one for the five, one for each of ours


def test_read_columns_of_no_entities_are_empty(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64, title=String))
    (got,) = read(store, ("v", {"user_id": []}, ["n", "title"]))
    assert {name: (len(column), column.dtype) for name, column in got.values.items()} == {
        "n": (0, np.dtype(float)), "title": (0, np.dtype(object)),
    }  # fmt: skip
    assert (len(got.event_timestamp), read(store)) == (0, [])


def test_read_columns_names_what_it_cannot_answer(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64))
    with pytest.raises(ValueError, match=r"v: has no features \['m'\]"):
        read(store, ("v", {"user_id": ["a"]}, ["n", "m"]))
    with pytest.raises(ValueError, match=r"v: the read has no values for the keys \['user_id'\]"):
        read(store, ("v", {"item_id": ["a"]}, ["n"]))
    with pytest.raises(ValueError, match="v: 1 rows have no value for the key user_id"):
        read(store, ("v", {"user_id": ["a", None]}, ["n"]))


def test_read_columns_refuses_a_text_that_an_earlier_meaning_left(store_of: Callable[..., FeatureStore]) -> None:
    rows = pa.table({"user_id": ["a"], "event_timestamp": pa.array(TIMES[:1], US), "n": ["many"]})
    write(store_of(view_of([user], n=String), project="shop"), rows)
    changed = store_of(view_of([user], n=Int64), project="shop")
    with pytest.raises(ValueError, match="string_val where a number is declared"):
        read(changed, ("v", {"user_id": ["a"]}, ["n"]))
