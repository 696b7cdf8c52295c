"""The online store's writes: byte for byte Feast's, newer rows stay, and entities that are gone go."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import redis
from feast import FeatureStore
from feast.data_source import PushMode
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.types import Array, Int64, String
from feast.utils import _convert_arrow_to_proto

from tests.online_data import TIMES, US, VALUES, item, online, row, three_rows, user, view_of, write

pytestmark = pytest.mark.services

HOUR = timedelta(hours=1)


def everything(client: Any) -> dict[bytes, dict[bytes, bytes]]:
    return {key: client.hgetall(key) for key in client.scan_iter()}


def n_of(store: FeatureStore, *users: str, view: str = "v") -> list[Any]:
    asked = [{"user_id": u} for u in users]
    found: list[Any] = store.get_online_features([f"{view}:n"], asked).to_dict()["n"]
    return found


@pytest.mark.parametrize("name", VALUES)
def test_bulk_write_leaves_the_bytes_that_feast_leaves(
    name: str, client: Any, store_of: Callable[..., FeatureStore]
) -> None:
    store = store_of(view_of([user, item], f=VALUES[name][0]))
    view, rows = store.get_feature_view("v"), three_rows(name)
    write(store, rows)
    ours = everything(client)
    client.flushdb()
    types = {c.name: c.dtype.to_value_type() for c in view.entity_columns}
    protos = _convert_arrow_to_proto(rows, view, types)
    RedisOnlineStore().online_write_batch(store.config, view, protos, None)
    assert ours == everything(client)
    assert len(ours) == 3


def test_bulk_write_takes_tables_in_pieces_and_more_than_one_batch(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64, title=String))
    n = 25_000
    rows = pa.table({
        "user_id": [f"u{k}" for k in range(n)], "event_timestamp": pa.array([TIMES[0]] * n, US),
        "n": list(range(n)), "title": [None if k % 2 else f"t{k}" for k in range(n)],
    })  # fmt: skip
    write(store, pa.concat_tables([rows.slice(0, 1), rows.slice(1, 12_000), rows.slice(12_001)]))
    asked = [{"user_id": u} for u in ("u0", "u24999", "nobody")]
    got = store.get_online_features(["v:n", "v:title"], asked).to_dict()
    assert (got["n"], got["title"]) == ([0, 24999, None], ["t0", None, None])


def test_bulk_write_takes_keys_and_values_that_are_dictionaries(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64))
    rows = pa.concat_tables([row("a", 1), row("b", 2)])
    write(store, pa.table([column.dictionary_encode() for column in rows.columns], names=rows.column_names))
    assert n_of(store, "a", "b") == [1, 2]


def test_bulk_write_keeps_large_integers_beside_missing_ones(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64))
    write(store, pa.concat_tables([row("a", 2**60 + 1), row("b", None)]))
    assert n_of(store, "a", "b") == [2**60 + 1, None]


def test_bulk_write_names_what_it_cannot_write(store_of: Callable[..., FeatureStore]) -> None:
    store, good = store_of(view_of([user], n=Int64)), row("a", 1)
    text = good.set_column(2, "n", pa.array(["many"]))
    no_key = good.set_column(0, "user_id", pa.array([None], pa.string()))
    no_time = good.set_column(1, "event_timestamp", pa.array([None], US))
    for rows, message in (
        (good.drop("n"), "v: the rows have no column n"),
        (text, "v: n is declared INT64"),
        (no_key, "v: 1 rows have no value for the key user_id"),
        (no_time, "v: 1 rows have no event_timestamp"),
    ):
        with pytest.raises(ValueError, match=message):
            write(store, rows)


def push(store: FeatureStore, frame: pa.Table) -> None:
    store.push("v_push", frame.to_pandas(), to=PushMode.ONLINE)


def push_async(store: FeatureStore, frame: pa.Table) -> None:
    asyncio.run(store.push_async("v_push", frame.to_pandas(), to=PushMode.ONLINE))


@pytest.mark.parametrize("way", [write, push, push_async])
def test_a_row_overwrites_what_is_as_old_or_older_and_nothing_newer(
    way: Callable[[FeatureStore, pa.Table], None], store_of: Callable[..., FeatureStore]
) -> None:
    store = store_of(view_of([user], push=True, n=Int64))
    micro = timedelta(microseconds=1)
    seen = []
    for n, when in enumerate((TIMES[2], TIMES[0], TIMES[0], TIMES[0] - micro, TIMES[0] + micro, TIMES[0] - HOUR)):
        way(store, row("u", n, when))
        seen += n_of(store, "u")
    assert seen == [0, 1, 2, 2, 4, 4]


def test_a_row_before_1970_is_older(store_of: Callable[..., FeatureStore]) -> None:
    store, early = store_of(view_of([user], n=Int64)), TIMES[2] - timedelta(days=400)
    seen = []
    for n, when in enumerate((early, early - HOUR, early + HOUR, TIMES[2], early)):
        write(store, row("u", n, when))
        seen += n_of(store, "u")
    assert seen == [0, 0, 2, 3, 3]


def test_the_newest_of_rows_with_one_key_stays(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64))
    write(store, pa.concat_tables([row("u", k, TIMES[0] + hours * HOUR) for k, hours in enumerate((1, 5, 5, 3))]))
    assert n_of(store, "u") == [2]


def test_writers_at_the_same_time_leave_the_newest_row_of_each_entity(store_of: Callable[..., FeatureStore]) -> None:
    store, entities, steps = store_of(view_of([user], n=Int64)), 50, 20
    n_of(store, "u")  # connected

    def rows(step: int) -> pa.Table:
        when = pa.array([TIMES[0] + step * HOUR] * entities, US)
        return pa.table(
            {"user_id": [f"u{k}" for k in range(entities)], "event_timestamp": when, "n": [step] * entities}
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda step: write(store, rows(step)), [*range(0, steps, 2), *reversed(range(1, steps, 2))]))
    assert set(n_of(store, *(f"u{k}" for k in range(entities)))) == {steps - 1}


def test_rows_of_views_of_one_entity_have_times_of_their_own(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], "one", n=Int64), view_of([user], "two", n=Int64))
    write(store, row("u", 1, TIMES[1]), "one")
    write(store, row("u", 2, TIMES[0]), "two")
    assert (n_of(store, "u", view="one"), n_of(store, "u", view="two")) == ([1], [2])


def test_skip_dedup_writes_what_is_older_too(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64), skip_dedup=True)
    write(store, row("u", 1, TIMES[1]))
    write(store, row("u", 2, TIMES[0]))
    assert n_of(store, "u") == [2]


def test_key_ttl_ends_an_entity_counted_from_its_last_write(client: Any, store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], push=True, n=Int64), key_ttl_seconds=100)
    write(store, row("bulk", 1))
    push(store, row("pushed", 1))
    assert sorted(client.ttl(key) for key in client.scan_iter()) == [100, 100]
    forever = store_of(view_of([user], n=Int64), project="other")
    write(forever, row("u", 1))
    assert sorted(client.ttl(key) for key in client.scan_iter()) == [-1, 100, 100]


def test_push_writes_arrays_and_missing_values(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], push=True, recent=Array(String), n=Int64))
    frame = pd.DataFrame(
        {"user_id": ["a", "b"], "event_timestamp": TIMES[:1] * 2, "recent": [["x", "y"], []], "n": [None, 2]}
    )
    store.push("v_push", frame, to=PushMode.ONLINE)
    got = store.get_online_features(["v:recent", "v:n"], [{"user_id": "a"}, {"user_id": "b"}]).to_dict()
    assert (got["recent"], got["n"]) == ([["x", "y"], []], [None, 2])


def test_connection_is_usable_after_a_refused_write(client: Any, store_of: Callable[..., FeatureStore]) -> None:
    store, rows = store_of(view_of([user], n=Int64)), pa.concat_tables([row("a", 1), row("b", 2)])
    write(store, rows)
    (key, *_) = sorted(client.scan_iter())
    client.delete(key)
    client.set(key, "not a hash")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        write(store, rows)
    client.delete(key)
    write(store, rows)
    assert n_of(store, "a", "b") == [1, 2]


def test_write_goes_on_after_redis_closed_its_connections_and_forgot_the_script(
    client: Any, store_of: Callable[..., FeatureStore]
) -> None:
    store = store_of(view_of([user], n=Int64))
    write(store, row("a", 1))
    client.script_flush()
    client.client_kill_filter(_type="normal", skipme=True)
    write(store, row("a", 2))
    assert n_of(store, "a") == [2]


def test_redis_that_is_gone_is_told_soon(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64), connection_string="127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(redis.ConnectionError):
        write(store, row("a", 1))
    with pytest.raises(redis.ConnectionError):
        n_of(store, "a")
    assert time.monotonic() - started < 5


def users_of(*users: str) -> pa.Table:
    return pa.table({"user_id": pa.array(users, pa.string())})


def test_retain_forgets_entities_that_are_gone_from_one_view(
    client: Any, store_of: Callable[..., FeatureStore]
) -> None:
    store = store_of(view_of([user], "one", n=Int64), view_of([user], "two", n=Int64))
    for name in "abc":
        write(store, row(name, 1), "one")
    write(store, row("b", 1), "two")
    assert online(store).retain(store.config, store.get_feature_view("one"), users_of("a")) == 2
    assert n_of(store, *"abc", view="one") == [1, None, None]
    assert n_of(store, *"abc", view="two") == [None, 1, None]
    assert client.dbsize() == 2  # c held nothing else


def test_retain_leaves_what_is_newer_than_it_knows_of(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], n=Int64))
    for name, when in (("old", TIMES[0]), ("pushed since", TIMES[0] + HOUR)):
        write(store, row(name, 1, when))
    view = store.get_feature_view("v")
    assert online(store).retain(store.config, view, users_of(), until=TIMES[0]) == 1
    assert n_of(store, "old", "pushed since") == [None, 1]


def test_retain_leaves_other_projects_entities_and_keys_alone(
    client: Any, store_of: Callable[..., FeatureStore]
) -> None:
    shop = store_of(view_of([user], n=Int64), view_of([user, item], "pair", n=Int64))
    other = store_of(view_of([user], n=Int64), project="other_shop")
    write(shop, row("a", 1))
    write(shop, row("a", 1).append_column("item_id", pa.array([1])), "pair")
    for name in "ab":
        write(other, row(name, 1))
    client.set("unrelated", 1)
    assert online(shop).retain(shop.config, shop.get_feature_view("v"), users_of()) == 1
    assert client.dbsize() == 4


def test_a_view_that_is_no_longer_declared_goes_from_its_own_project_only(
    client: Any, store_of: Callable[..., FeatureStore]
) -> None:
    stores = [store_of(view_of([user], n=Int64), project=project) for project in ("shop", "other_shop")]
    for store in stores:
        write(store, row("a", 1))
    stores[0].apply([], objects_to_delete=[stores[0].get_feature_view("v")], partial=False)
    assert n_of(stores[1], "a") == [1]
    assert client.dbsize() == 1


def test_several_views_are_written_together_as_each_alone(client: Any, store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], "one", n=Int64), view_of([user], "two", title=String))
    one = pa.table({"user_id": ["u1", "u2"], "event_timestamp": pa.array(TIMES[:1] * 2, US), "n": [1, 2]})
    two = pa.table({"user_id": ["u1"], "event_timestamp": pa.array(TIMES[:1], US), "title": ["t"]})
    views = [(store.get_feature_view("one"), one), (store.get_feature_view("two"), two)]
    for view, rows in views:
        online(store).write_arrow(store.config, view, rows)
    alone = everything(client)
    client.flushdb()
    online(store).write_views(store.config, [*views, (views[0][0], one.slice(0, 0))])
    assert everything(client) == alone
    online(store).write_views(store.config, [])
