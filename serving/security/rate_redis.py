"""Counts of requests in Redis, which all processes of the service add to. Importing this imports redis-py."""

from collections.abc import Mapping
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from serving.security.rate import WINDOW_S

PREFIX: Final = "recomart:rate"
PATIENCE_S: Final = 0.5


class RedisCounts:
    """``rate.Shared`` in the Redis at ``url``; a count goes when no window reads it any more."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=Retry(NoBackoff(), 0)
        )

    def add(self, window: int, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Add to the counts of a window, in one round trip; returns them as they are then.

        Raises:
            OSError: Redis doesn't answer.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for caller, count in counts.items():
            key = f"{PREFIX}:{window}:{caller}"
            pipeline.incrby(key, count)
            pipeline.expire(key, 2 * WINDOW_S)
        try:
            totals = pipeline.execute()[::2]
        except redis.RedisError as error:
            raise OSError(f"Redis: {error}") from None
        return dict(zip(counts, totals, strict=True))
