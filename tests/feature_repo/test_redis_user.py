"""One user's rows and session in one round trip: as the bulk read has them, for every type of value."""

import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import redis
from feast import FeatureStore

from feature_repo.stores import sessions
from feature_repo.stores.redis_decode import NUMERIC
from feature_repo.stores.redis_read import Read
from feature_repo.stores.redis_user import UserRow
from tests.online_data import KEYS, TIMES_US, VALUES, item, online, user, view_of, write

pytestmark = pytest.mark.services
USERS = KEYS["user_id"]


def stored(store: FeatureStore, name: str) -> None:
    write(store, pa.table({"user_id": USERS, "event_timestamp": TIMES_US, "f": VALUES[name][1]}))


def read(store: FeatureStore, user_id: str) -> UserRow:
    reader = online(store).user_reader(store.config, [(store.get_feature_view("v"), ["f"])])
    return online(store).read_user(store.config, reader, user_id)


@pytest.mark.parametrize("name", VALUES)
def test_read_user_reads_what_the_bulk_read_does(name: str, store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user], f=VALUES[name][0]))
    stored(store, name)
    (bulk,) = online(store).read_columns(store.config, [Read(store.get_feature_view("v"), {"user_id": USERS}, ["f"])])
    for user_id, want in zip(USERS, bulk.values["f"].tolist(), strict=True):
        row = read(store, user_id)
        if VALUES[name][0].to_value_type() in NUMERIC:
            assert row.numbers == {"v__f": pytest.approx(want, rel=0, abs=0, nan_ok=True)}
        else:
            assert row.objects == {"v__f": want}


def test_read_user_of_nobody_has_nothing(store_of: Callable[..., FeatureStore]) -> None:
    row = read(store_of(view_of([user], f=VALUES["int64"][0])), "nobody")
    assert math.isnan(row.numbers["v__f"])
    assert row.session.item_ids == []


def test_read_user_has_the_session_newest_first(store_of: Callable[..., FeatureStore], client: redis.Redis) -> None:
    store = store_of(view_of([user], f=VALUES["int64"][0]))
    events = [(1, 2_000_000, "view", "a"), (2, 5_000_000, "purchase", "ü"), (3, 3_000_000, "click", "b")]
    members: dict[bytes, Any] = {sessions.pack(seq, at, kind, i, 1, math.nan): at for seq, at, kind, i in events}
    client.zadd(sessions.key("shop", "u"), members)
    session = read(store, "u").session
    assert session.item_ids == ["ü", "b", "a"]
    assert session.event_types == ["purchase", "click", "view"]
    assert session.epoch_s.tolist() == [5.0, 3.0, 2.0]


def test_read_user_outlives_its_connection(store_of: Callable[..., FeatureStore], client: redis.Redis) -> None:
    store = store_of(view_of([user], f=VALUES["int64"][0]))
    read(store, "u")
    client.client_kill_filter(_type="normal", skipme=True)
    assert read(store, "u").session.item_ids == []


def test_read_user_that_redis_refuses_leaves_the_next_one_its_own_answer(
    store_of: Callable[..., FeatureStore], client: redis.Redis
) -> None:
    store = store_of(view_of([user], f=VALUES["int64"][0]))
    client.set(sessions.key("shop", "broken"), "no sorted set")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        read(store, "broken")
    assert read(store, "u").session.item_ids == []


def test_user_reader_refuses_views_of_other_keys(store_of: Callable[..., FeatureStore]) -> None:
    store = store_of(view_of([user, item], f=VALUES["int64"][0]))
    with pytest.raises(ValueError, match="other keys than one"):
        online(store).user_reader(store.config, [(store.get_feature_view("v"), ["f"])])
