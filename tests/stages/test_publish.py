"""The publish stage: both servers hold what the features hold, and what is new costs what is new."""

from datetime import datetime
from typing import Any

import psycopg
import pytest
import redis

from pipelines.commands import materialize
from pipelines.core.errors import InputError, ServiceError
from pipelines.io import receipts
from pipelines.io.features import feast_store
from pipelines.io.features.online_features import OnlineFeatures
from pipelines.io.files import read_json
from pipelines.settings import Settings
from pipelines.stages import publish
from tests import feature_data
from tests.conftest import emptied_redis
from tests.published_lake import VIEW, day, forgotten, part, published, user
from tests.published_lake import shop as shop_of

pytestmark = pytest.mark.services

FIRST = {part(1): [user("a", 1, 1), user("b", 1, 2)]}
SECOND = FIRST | {part(2): [user("a", 2, 5), user("c", 2, 7)]}


def receipt(settings: Settings) -> Any:
    return read_json(settings.root / receipts.PUBLISHED)


def test_publish_makes_the_newest_features_readable_online(settings: Settings) -> None:
    events = feature_data.random_events(seed=9, n=150)
    feature_data.published(settings, events, [feature_data.product(f"i{n}", 0) for n in range(4)])
    online = OnlineFeatures(feast_store.open_store(settings), "ranker_v1")
    as_of = datetime.fromisoformat(receipt(settings)["as_of"])
    assert online.as_of == as_of == day(50)
    want = feature_data.expected(events, {"user_id": "u1"}, as_of, (1, 7, 30))
    got = online.user("u1")
    assert got == {f"user_activity_v1__{k}": want[k] for k in (n.partition("__")[2] for n in got)}


def test_publish_leaves_a_receipt_that_depends_on_the_features_only(settings: Settings) -> None:
    published(settings, 2, SECOND)
    once = receipt(settings)
    table = once["tables"][VIEW]
    assert (once["as_of"], table["rows"], table["max_event_timestamp"]) == (day(2).isoformat(), 4, day(2).isoformat())
    assert once["tables"]["item_profile_v1"]["max_event_timestamp"] is None
    forgotten(settings)
    published(settings, 1, FIRST)
    assert receipt(settings)["tables"][VIEW]["sha256"] != table["sha256"]
    published(settings, 2, SECOND)
    assert receipt(settings) == once


def test_publish_of_another_shop_leaves_nothing_of_the_first(settings: Settings) -> None:
    published(settings, 41, {part(41): [user("old", 41, 1), user("both", 41, 2)]})
    published(settings, 2, {part(2): [user("both", 2, 3)]})  # older than the first shop's
    online = OnlineFeatures(feast_store.open_store(settings), "ranker_v1")
    assert online.as_of == day(2)
    assert all(value != value for value in online.user("old").values())
    assert online.user("both")["user_activity_v1__views_all"] == 3
    with redis.Redis.from_url(settings.redis) as client:
        assert len([key for key in client.scan_iter() if key.endswith(b"recomart")]) == 1


def test_publish_without_features_says_what_to_run(settings: Settings) -> None:
    with pytest.raises(InputError, match="python -m pipelines features"):
        publish.run(shop_of(settings))


def test_failed_publish_leaves_no_receipt(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    published(settings, 1, FIRST)
    monkeypatch.setattr(feast_store, "apply", lambda _: (_ for _ in ()).throw(ServiceError("gone")))
    with pytest.raises(ServiceError, match="gone"):
        published(settings, 2, SECOND)
    assert not (settings.root / receipts.PUBLISHED).exists()


def test_materialize_fills_redis_again_and_the_receipt_holds(settings: Settings) -> None:
    context = published(settings, 1, FIRST)
    emptied_redis(settings)
    materialize.run(context)
    online = OnlineFeatures(feast_store.open_store(settings), "ranker_v1")
    assert online.user("a")["user_activity_v1__views_all"] == 1
    receipts.drop_stale(settings)
    assert (settings.root / receipts.PUBLISHED).exists()


def test_publish_into_an_emptied_postgres_is_whole(settings: Settings) -> None:
    published(settings, 2, SECOND)
    with psycopg.connect(settings.postgres_conninfo) as connection:
        connection.execute("DROP SCHEMA features CASCADE")
    published(settings, 2, SECOND)
    with psycopg.connect(settings.postgres_conninfo) as connection:
        assert connection.execute(f"SELECT count(*) FROM features.{VIEW}").fetchone() == (4,)
    assert OnlineFeatures(feast_store.open_store(settings), "ranker_v1").user("c")["user_activity_v1__views_all"] == 7
