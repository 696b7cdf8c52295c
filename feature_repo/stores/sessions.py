"""Sessions in Redis: the live events of each user, newest first, beside what Feast keeps.

A sorted set a user, scored by the event's time. A member holds the whole event, so that adding it again changes
nothing: whoever is unsure whether an event arrived adds it once more.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from redis import Redis, RedisCluster

from feature_repo.stores.redis_pipe import exchange
from feature_repo.stores.redis_wire import command

TYPES: Final = ("view", "click", "add_to_cart", "remove_from_cart", "purchase")
"""Event types in the order of their codes; a code never changes its meaning."""
MOST: Final = 500
"""Events of a user that are kept, the newest."""
SECONDS: Final = 30 * 86_400
"""How long a session is kept after its last event."""
Event = tuple[int, int, str, str, int, float]
"""What ``pack`` takes."""
_HEAD: Final = struct.Struct("<qqBid")


@dataclass(frozen=True)
class Session:
    """Events of one user, in the order in which they were given."""

    item_ids: list[str]
    event_types: list[str]
    epoch_s: np.ndarray[Any, Any]
    """float64, seconds since 1970 UTC."""


def key(project: str, user_id: str) -> bytes:
    """The key of a user's session."""
    return b"live:" + project.encode() + b":" + user_id.encode()


def pack(seq: int, epoch_us: int, event_type: str, item_id: str, quantity: int, price: float) -> bytes:
    """An event as a member: its number in Postgres, its time, and what it was; ``price`` NaN where unknown."""
    return _HEAD.pack(seq, epoch_us, TYPES.index(event_type), quantity, price) + item_id.encode()


def write(client: Redis | RedisCluster, project: str, events: Mapping[str, Sequence[bytes]]) -> None:
    """Add packed events of users to their sessions, all in one round trip; doing it again changes nothing.

    Raises:
        redis.exceptions.RedisError: Redis is gone or refuses; some of the events may be in.
    """
    keys: list[bytes] = []
    commands: list[bytes] = []
    for user_id, members in events.items():
        of_user = key(project, user_id)
        scored = [part for member in members for part in (b"%d" % _HEAD.unpack_from(member)[1], member)]
        keys += [of_user] * 3
        commands.append(command(b"ZADD", of_user, *scored))
        commands.append(command(b"ZREMRANGEBYRANK", of_user, b"0", b"%d" % (-MOST - 1)))
        commands.append(command(b"EXPIRE", of_user, b"%d" % SECONDS))
    exchange(client, pa.array(keys, pa.binary()), pa.array(commands, pa.binary()))


def unpack(members: Sequence[bytes]) -> Session:
    """The events of ``members``."""
    heads = [_HEAD.unpack_from(member) for member in members]
    return Session(
        [member[_HEAD.size :].decode() for member in members],
        [TYPES[head[2]] for head in heads],
        np.array([head[1] for head in heads], np.float64) / 1e6,
    )
