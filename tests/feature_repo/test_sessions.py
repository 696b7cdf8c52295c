"""Sessions in a real Redis."""

import math

import redis

from feature_repo.stores import sessions

DAY_US = 86_400_000_000


def member(seq: int, item_id: str = "i", epoch_us: int | None = None) -> bytes:
    return sessions.pack(seq, seq if epoch_us is None else epoch_us, "view", item_id, 1, math.nan)


def held(client: redis.Redis, user_id: str) -> sessions.Session:
    return sessions.unpack(client.zrevrange(sessions.key("shop", user_id), 0, -1))


def test_member_holds_the_whole_event() -> None:
    packed = sessions.pack(7, 1_700_000_000_250_000, "purchase", "Ünit 5", 1_000_000, 9.95)
    found = sessions.unpack([packed])
    assert (found.item_ids, found.event_types, found.epoch_s.tolist()) == (["Ünit 5"], ["purchase"], [1_700_000_000.25])


def test_key_belongs_to_project_and_user() -> None:
    assert sessions.key("shop", "ü1") == b"live:shop:" + "ü1".encode()


def test_write_keeps_the_newest_first_whatever_comes_first(client: redis.Redis) -> None:
    sessions.write(client, "shop", {"u": [member(1, "a", 5 * DAY_US), member(2, "b", 9 * DAY_US)]})
    sessions.write(client, "shop", {"u": [member(3, "c", 7 * DAY_US)], "v": [member(4, "d")]})
    assert held(client, "u").item_ids == ["b", "c", "a"]
    assert held(client, "v").item_ids == ["d"]


def test_write_again_changes_nothing(client: redis.Redis) -> None:
    for _ in range(2):
        sessions.write(client, "shop", {"u": [member(1, "a"), member(2, "a")]})
    assert held(client, "u").item_ids == ["a", "a"]


def test_write_keeps_the_newest_500_for_30_days(client: redis.Redis) -> None:
    sessions.write(client, "shop", {"u": [member(n, f"i{n}") for n in range(502)]})
    assert held(client, "u").item_ids == [f"i{n}" for n in range(501, 1, -1)]
    assert 30 * 86_400 - 5 < client.ttl(sessions.key("shop", "u")) <= 30 * 86_400


def test_write_of_nothing_asks_nobody() -> None:
    sessions.write(redis.Redis(port=1), "shop", {})
