"""Sessions of users in Redis, where the online store keeps them beside the features. Importing this imports Feast."""

import math
import os
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.repo_config import load_repo_config
from feast.utils import get_default_yaml_file_path
from redis import RedisCluster
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipelines.core.errors import ServiceError
from pipelines.core.lists.live_event import Stored
from pipelines.io.features.feast_store import answered
from pipelines.settings import Settings

PATIENCE: Final = "socket_connect_timeout=0.25,socket_timeout=0.5"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LiveSessions:
    """Writes sessions; by the settings of Feast's online store, but without its registry."""

    def __init__(self, settings: Settings) -> None:
        """Nothing of Redis is asked yet.

        Raises:
            ServiceError: there is no feature repository.
            ConfigError: no Redis is named and none was started.
        """
        os.environ.update(settings.exported())
        repo = settings.root / "feature_repo"
        try:
            self._config = load_repo_config(repo, get_default_yaml_file_path(repo))
        except OSError as error:
            raise ServiceError(f"no sessions are written: {error}") from None
        online = self._config.online_store
        online.connection_string = f"{online.connection_string},{PATIENCE}"
        self._online: Any = get_online_store_from_config(online)
        self._client: Any = None

    def write(self, stored: Iterable[Stored]) -> None:
        """Add events to their users' sessions; doing it again changes nothing.

        Raises:
            ServiceError: Redis doesn't answer; some of the events may be in.
        """
        of_users: dict[str, list[tuple[int, int, str, str, int, float]]] = defaultdict(list)
        for seq, event in stored:
            price = math.nan if event.price is None else event.price
            microseconds = (event.ts - EPOCH) // timedelta(microseconds=1)
            of_users[event.user_id].append((seq, microseconds, event.event_type, event.item_id, event.quantity, price))
        with answered():
            self._connect()
            self._online.write_sessions(self._config, of_users)

    def drop(self) -> None:
        """Delete the sessions of all users.

        Raises:
            ServiceError: Redis doesn't answer.
        """
        with answered():
            self._connect()
            self._online.drop_sessions(self._config)

    def server(self) -> str:
        """Which run of Redis this is: another one after each start, and on another server.

        Raises:
            ServiceError: Redis doesn't answer.
        """
        with answered():
            client = self._connect()
            everywhere = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(client, RedisCluster) else {}
            answer: Any = client.info("server", **everywhere)
            told = answer.values() if everywhere else [answer]
            return ",".join(sorted(str(one["run_id"]) for one in told))

    def remembered(self) -> str | None:
        """What Redis was last told to remember; None where it doesn't.

        Raises:
            ServiceError: Redis doesn't answer.
        """
        with answered():
            told: bytes | None = self._connect().get(f"live-base:{self._config.project}")
            return told.decode() if told is not None else None

    def remember(self, base: str) -> None:
        """Let Redis remember what the sessions and features in it rest on.

        Raises:
            ServiceError: Redis doesn't answer.
        """
        with answered():
            self._connect().set(f"live-base:{self._config.project}", base)

    def _connect(self) -> Any:
        """A client that doesn't try again by itself: who waits for an answer waits for this."""
        if self._client is None:
            client = self._online._get_client(self._config.online_store)
            client.set_retry(Retry(NoBackoff(), 0))
            self._client = client
        return self._client
