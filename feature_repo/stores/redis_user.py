"""What Redis keeps of one user, prepared once and read in one round trip: rows of several views, and the session.

``redis_read`` is for many entities; for one, its columns cost more than the reading.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.repo_config import RepoConfig
from feast.value_type import ValueType
from redis import Redis, RedisCluster

from feature_repo.stores import sessions
from feature_repo.stores.redis_decode import NUMERIC, number, objects
from feature_repo.stores.redis_pipe import Kept, exchange
from feature_repo.stores.redis_wire import bulk, command, feature_field, key_prefix
from feature_repo.stores.sessions import Session

_HEAD: Final = struct.Struct("<II")
_number: Final = lru_cache(4_096)(number)
"""Most are counts, and few different ones."""


@dataclass(frozen=True)
class UserRow:
    """Values go by ``view__feature``; numbers are NaN, all else is None where Redis has none."""

    numbers: dict[str, float]
    objects: dict[str, Any]
    session: Session


class UserReader:
    """Reads the rows of views that have one join key of type string, the same for all."""

    def __init__(self, config: RepoConfig, reads: Sequence[tuple[FeatureView, Sequence[str]]]) -> None:
        """``reads``: each view with the names of the features to read."""
        join_keys = {tuple(view.join_keys) for view, _ in reads}
        if len(join_keys) != 1 or len(next(iter(join_keys))) != 1:
            raise ValueError(f"the views have other keys than one that they share: {sorted(join_keys)}")
        kinds = {f.name: f.dtype.to_value_type() in NUMERIC for view, _ in reads for f in view.features}
        asked = [
            (f"{view.name}__{name}", feature_field(config, view, name), kinds[name])
            for view, names in reads
            for name in names
        ]
        asked.sort(key=lambda one: not one[2])  # stable: numbers first
        names = [name for name, _, _ in asked]
        self._count = n = sum(number for *_, number in asked)
        self._numbers, self._objects = names[:n], names[n:]
        fields = [field for _, field, _ in asked]
        self._fields = b"".join(map(bulk, fields))
        self._head = b"*%d\r\n" % (2 + len(fields)) + bulk(b"HMGET")
        self._prefix = key_prefix(config, list(next(iter(join_keys))))
        self._project = config.project.encode()
        self._config = config

    def read(self, client: Redis | RedisCluster | Kept, user_id: str) -> UserRow:
        """The rows and the session of a user.

        Raises:
            redis.exceptions.RedisError: Redis is gone or refuses.
        """
        value = user_id.encode()
        key = self._prefix + _HEAD.pack(ValueType.STRING.value, len(value)) + value + self._project
        session = sessions.key(self._config.project, user_id)
        asked = [self._head + bulk(key) + self._fields, command(b"ZREVRANGE", session, b"0", b"-1")]
        if isinstance(client, Kept):
            row, members = client.ask(*asked)
        else:
            row, members = exchange(client, pa.array([key, session], pa.binary()), pa.array(asked, pa.binary()))
        n = self._count
        return UserRow(
            dict(zip(self._numbers, map(_number, row[:n]), strict=True)),
            dict(zip(self._objects, objects(row[n:]), strict=True)),
            sessions.unpack(members),
        )
