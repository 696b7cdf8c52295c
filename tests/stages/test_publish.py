"""The publish stage: both servers hold what the features hold, and nothing else."""

from datetime import datetime
from typing import Any

import psycopg
import pytest
import redis

from pipelines.commands import materialize
from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.io import feast_store
from pipelines.io.files import read_json
from pipelines.io.online_features import OnlineFeatures
from pipelines.settings import Settings
from pipelines.stages import publish
from tests.feature_data import day, event, expected, prepared, product, published, random_events

pytestmark = pytest.mark.services

ITEMS = [product(f"i{n}", 0) for n in range(4)]


def receipt(settings: Settings) -> Any:
    return read_json(settings.root / "data/published/receipt.json")


def online(settings: Settings) -> OnlineFeatures:
    return OnlineFeatures(feast_store.open_store(settings), "ranker_v1")


def count(settings: Settings, table: str) -> int:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM features.{table}").fetchone() or (0,)
        return int(rows)


def test_publish_makes_the_newest_features_readable_online(settings: Settings) -> None:
    events = random_events(seed=9, n=150)
    published(settings, events, ITEMS)
    as_of = datetime.fromisoformat(receipt(settings)["as_of"])
    assert online(settings).as_of == as_of == day(50)
    want = expected(events, {"user_id": "u1"}, as_of, (1, 7, 30))
    got = online(settings).user("u1")
    assert got == {f"user_activity_v1__{k}": want[k] for k in (n.partition("__")[2] for n in got)}


def test_publish_leaves_a_receipt_that_depends_on_the_features_only(settings: Settings) -> None:
    events = random_events(seed=9, n=60)
    published(settings, events, ITEMS)
    first = receipt(settings)
    assert first["tables"]["user_item_activity_v1"]["rows"] == count(settings, "user_item_activity_v1")
    published(settings, events, ITEMS)
    assert receipt(settings) == first
    published(settings, events[:-1], ITEMS)
    assert receipt(settings)["tables"]["user_activity_v1"]["sha256"] != first["tables"]["user_activity_v1"]["sha256"]


def test_publish_of_another_shop_leaves_nothing_of_the_first(settings: Settings) -> None:
    published(settings, [event("old", "i0", "view", 40.5), event("both", "i1", "view", 40.6)], ITEMS)
    published(settings, [event("both", "i1", "purchase", 1.5)], [product("i1", 0)])  # older than the first shop's
    found = online(settings)
    assert found.as_of == day(2)
    assert all(value != value for value in found.user("old").values())
    assert found.user("both")["user_activity_v1__views_all"] == 0
    assert found.user("both")["user_activity_v1__purchases_all"] == 1
    assert count(settings, "user_activity_v1") == 1
    with redis.Redis.from_url(settings.redis) as client:
        keys = [key for key in client.scan_iter() if key.endswith(b"recomart")]
    assert len(keys) == 3  # the user, the item, the pair


def test_publish_lets_a_correction_of_the_past_through(settings: Settings) -> None:
    published(settings, [event("u", "i0", "view", 1.5), event("v", "i0", "view", 9.5)], ITEMS)
    published(settings, [event("u", "i0", "click", 1.5), event("v", "i0", "view", 9.5)], ITEMS)
    user = online(settings).user("u")
    assert (user["user_activity_v1__views_all"], user["user_activity_v1__clicks_all"]) == (0, 1)


def test_publish_without_features_says_what_to_run(settings: Settings) -> None:
    with pytest.raises(InputError, match="python -m pipelines features"):
        publish.run(prepared(settings, [], ITEMS))


def test_failed_publish_leaves_the_old_tables_and_no_receipt(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(settings, [event("u", "i0", "view", 1.5)], ITEMS)
    before = count(settings, "user_activity_v1")
    monkeypatch.setattr(publish, "_unique", lambda view: ["event_timestamp"])  # all items' profiles share a stamp
    with pytest.raises(Exception, match="duplicated"):
        published(settings, [event("u", f"i{n}", "view", n + 0.5) for n in range(4)], ITEMS)
    assert count(settings, "user_activity_v1") == before
    assert not (settings.root / "data/published/receipt.json").exists()


def test_materialize_fills_redis_again(settings: Settings) -> None:
    published(settings, [event("u", "i0", "view", 1.5)], ITEMS)
    with redis.Redis.from_url(settings.redis) as client:
        client.flushdb()
    context: Context = prepared(settings, [], ITEMS)
    materialize.run(context)
    assert online(settings).user("u")["user_activity_v1__views_all"] == 1


def test_materialize_before_any_publish_says_so(settings: Settings) -> None:
    with pytest.raises(InputError, match="nothing was published"):
        materialize.run(prepared(settings, [], ITEMS))
