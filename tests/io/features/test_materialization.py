"""From Postgres to Redis: only what changed, on from where it was killed, never two at once."""

import struct
import threading
from datetime import timedelta
from typing import Any

import pandas as pd
import psycopg
import pytest
import redis
from feast import FeatureStore

from pipelines.core.errors import ConfigError, ServiceError
from pipelines.io import postgres
from pipelines.io.features import materialization, newest_rows
from pipelines.io.receipts import TOKENS
from pipelines.settings import Settings
from tests.conftest import emptied_redis
from tests.published_lake import VIEW, base, day, load, part, unpublished, user  # noqa: F401  fixtures

pytestmark = pytest.mark.services

FIRST = {part(1): [user("a", 1, 1), user("b", 1, 2), user("c", 1, 3)]}
SECOND = FIRST | {part(2): [user("b", 2, 20), user("d", 2, 40)]}


def bring_online(shop: Settings, store: FeatureStore, **how: Any) -> int:
    """Materialize; how many users were written."""
    with postgres.connect(shop) as connection, materialization.alone(connection, wait=False):
        return materialization.materialize(connection, store, [VIEW], **how)[VIEW]


def online(store: FeatureStore, *users: str) -> list[int | None]:
    """``views_all`` of users."""
    rows = [{"user_id": user_id} for user_id in users]
    return list(store.get_online_features([f"{VIEW}:views_all"], rows).to_dict()["views_all"])


def drop_online(shop: Settings, user_id: str) -> None:
    """Let Redis forget a user."""
    name, value = b"user_id", user_id.encode()
    key = struct.pack("<III", 1, 2, len(name)) + name + struct.pack("<II", 2, len(value)) + value + b"recomart"
    with redis.Redis.from_url(shop.redis) as client:
        assert client.delete(key) == 1


def watermark(store: FeatureStore) -> Any:
    """What Feast believes."""
    return store.registry.get_feature_view(VIEW, store.project).most_recent_end_time


def test_materialize_writes_only_who_changed(shop: Settings, store: FeatureStore) -> None:
    load(shop, 1, FIRST)
    assert bring_online(shop, store) == 3
    drop_online(shop, "a")
    load(shop, 2, SECOND)
    assert bring_online(shop, store) == 2
    assert online(store, "a", "b", "c", "d") == [None, 20, 3, 40]
    assert bring_online(shop, store) == 0


def test_materialize_full_writes_all_and_takes_out_who_is_gone(shop: Settings, store: FeatureStore) -> None:
    load(shop, 2, SECOND)
    bring_online(shop, store)
    drop_online(shop, "a")
    with psycopg.connect(shop.postgres_conninfo) as connection:
        connection.execute(f"DELETE FROM features.{VIEW} WHERE user_id = 'd'")
    assert bring_online(shop, store, full=True) == 3
    assert online(store, "a", "b", "c", "d") == [1, 20, 3, None]


def test_materialize_lets_a_correction_of_the_past_through(shop: Settings, store: FeatureStore) -> None:
    load(shop, 2, SECOND)
    bring_online(shop, store)
    built = day(100)
    load(shop, 2, SECOND | {part(1, 1): [user("c", 1, 33, built), user("b", 1, 22, built)]})
    assert bring_online(shop, store) == 2
    assert online(store, "b", "c") == [20, 33]  # b has a later row


def test_materialize_takes_the_correction_that_was_created_last(shop: Settings, store: FeatureStore) -> None:
    parts = FIRST | {part(1, 1): [user("a", 1, 11, day(8))], part(1, 2): [user("a", 1, 12, day(9))]}
    load(shop, 1, parts)
    bring_online(shop, store)
    assert online(store, "a") == [12]


def test_materialize_goes_on_where_it_was_killed(
    shop: Settings, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(shop, 2, SECOND)
    monkeypatch.setattr(newest_rows, "PAGE", 1)
    whole = type(store._get_provider().online_store).write_arrow

    def killed_at_c(*arguments: Any) -> None:
        if arguments[-1]["user_id"][0].as_py() == "c":
            raise KeyboardInterrupt
        whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(type(store._get_provider().online_store), "write_arrow", killed_at_c)
        with pytest.raises(KeyboardInterrupt):
            bring_online(shop, store)
    assert online(store, "a", "b", "c") == [1, 20, None]
    drop_online(shop, "a")  # shows whether it begins anew
    assert bring_online(shop, store) == 2
    assert online(store, "a", "b", "c", "d") == [None, 20, 3, 40]


def test_materialize_after_a_kill_brings_what_was_published_since(
    shop: Settings, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(shop, 1, FIRST)
    monkeypatch.setattr(newest_rows, "PAGE", 1)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(materialization._View, "_retain", killed)  # all are written, none is noted as done
        with pytest.raises(KeyboardInterrupt):
            bring_online(shop, store)
    load(shop, 2, SECOND | {part(1, 1): [user("a", 1, 11, day(8))]})
    bring_online(shop, store)
    assert online(store, "a", "b", "c", "d") == [11, 20, 3, 40]


def test_materialize_fills_an_emptied_redis(shop: Settings, store: FeatureStore) -> None:
    load(shop, 1, FIRST)
    bring_online(shop, store)
    emptied_redis(shop)
    assert bring_online(shop, store) == 3
    assert online(store, "a", "c") == [1, 3]


def test_materialize_after_redis_was_emptied_in_the_middle_begins_anew(
    shop: Settings, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(shop, 1, FIRST)
    monkeypatch.setattr(newest_rows, "PAGE", 1)
    whole = materialization._View._save

    def killed_after_b(self: Any, state: Any) -> None:
        whole(self, state)
        if state.job and state.job.last == ("b",):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(materialization._View, "_save", killed_after_b)
        with pytest.raises(KeyboardInterrupt):
            bring_online(shop, store)
    emptied_redis(shop)
    assert bring_online(shop, store) == 3
    assert online(store, "a", "b", "c") == [1, 2, 3]


def test_materialize_into_a_redis_of_another_database_leaves_nothing_of_it(shop: Settings, store: FeatureStore) -> None:
    load(shop, 50, FIRST | {part(50): [user("a", 50, 500), user("z", 50, 9)]})
    bring_online(shop, store)
    with redis.Redis.from_url(shop.redis) as client:
        client.hset(TOKENS, VIEW, "another's")
    with psycopg.connect(shop.postgres_conninfo) as connection:
        connection.execute("DROP SCHEMA features CASCADE")
    load(shop, 1, FIRST)
    bring_online(shop, store)
    assert online(store, "a", "z") == [1, None]


def test_materialize_of_a_replaced_table_lets_older_rows_through(shop: Settings, store: FeatureStore) -> None:
    load(shop, 50, FIRST | {part(40): [user("a", 40, 400)]})
    bring_online(shop, store)
    load(shop, 50, FIRST)  # the later row of a is taken back
    bring_online(shop, store)
    assert online(store, "a") == [1]


def pushed(store: FeatureStore, user_id: str, at: float, views: int) -> None:
    """A live row, stamped between two nights."""
    names = [f.name for f in store.get_feature_view(VIEW).features]
    row = dict.fromkeys(names, 0) | {"user_id": user_id, "event_timestamp": day(at), "views_all": views}
    store.write_to_online_store(VIEW, pd.DataFrame([row | {"created_timestamp": day(at)}]), allow_registry_cache=False)


def test_materialize_keeps_pushed_rows_until_a_later_one_is_published(shop: Settings, store: FeatureStore) -> None:
    load(shop, 1, FIRST)
    bring_online(shop, store)
    pushed(store, "a", 1.5, 100)
    pushed(store, "new", 1.5, 200)
    bring_online(shop, store, full=True)
    assert online(store, "a", "new") == [100, 200]
    load(shop, 2, SECOND | {part(2): [user("a", 2, 101)]})
    bring_online(shop, store)
    assert online(store, "a", "new") == [101, 200]


def test_materialize_is_for_one_at_a_time(shop: Settings, store: FeatureStore) -> None:
    load(shop, 1, FIRST)
    second = pytest.raises(ServiceError, match=r"under way \(Postgres process \d+, since .*when it is done")
    with postgres.connect(shop) as connection, materialization.alone(connection, wait=False), second:
        bring_online(shop, store)
    assert bring_online(shop, store) == 3


def test_publish_waits_for_a_materialization(shop: Settings) -> None:
    began, done = threading.Event(), threading.Event()

    def second() -> None:
        with postgres.connect(shop) as connection:
            began.set()
            with materialization.alone(connection, wait=True):
                done.set()

    with postgres.connect(shop) as connection, materialization.alone(connection, wait=False):
        thread = threading.Thread(target=second)
        thread.start()
        began.wait(10)
        assert not done.wait(0.3)
    assert done.wait(10)
    thread.join()


def test_watermark_is_what_was_published_and_feast_goes_on_from_it(shop: Settings, store: FeatureStore) -> None:
    load(shop, 3, SECOND)
    bring_online(shop, store)
    assert watermark(store) == day(3)
    store.materialize(day(0), day(90), [VIEW])
    assert watermark(store) == day(90)
    bring_online(shop, store)  # nothing was published up to then
    assert watermark(store) == day(3)


def test_watermark_is_never_in_the_future(shop: Settings, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(materialization.datetime):  # type: ignore[name-defined, misc]
        @classmethod
        def now(cls, _: Any = None) -> Any:
            return day(1.5)

    monkeypatch.setattr(materialization, "datetime", Clock)
    load(shop, 3, SECOND)
    bring_online(shop, store)
    assert watermark(store) == day(1.5)
    assert online(store, "b", "d") == [2, None]
    monkeypatch.setattr(Clock, "now", classmethod(lambda *_: day(3) + timedelta(hours=1)))
    assert bring_online(shop, store) == 2
    assert watermark(store) == day(3)


def test_incremental_equals_full(shop: Settings, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_rows, "PAGE", 7)
    names, parts = [f"u{n:02}" for n in range(30)], {}
    for number in range(1, 6):
        parts[part(number)] = [user(name, number, 100 * number + n) for n, name in enumerate(names) if n % number == 0]
        parts[part(1, number)] = [user("u03", 1, 1000 + number, day(50 + number))]
        load(shop, number, parts)
        bring_online(shop, store)
    incremental = online(store, *names)
    emptied_redis(shop)
    assert bring_online(shop, store) == 30
    assert online(store, *names) == incremental
    assert incremental[:5] == [500, 101, 202, 303, 404]


def test_materialize_of_an_unknown_view_names_those_that_are(shop: Settings, store: FeatureStore) -> None:
    load(shop, 1, FIRST)
    with postgres.connect(shop) as connection, pytest.raises(ConfigError, match=r"nonsense.*user_activity_v1"):
        materialization.materialize(connection, store, ["nonsense"])


def test_materialize_before_any_publish_says_what_to_run(shop: Settings, store: FeatureStore) -> None:
    with pytest.raises(ServiceError, match="make pipeline"):
        bring_online(shop, store)
