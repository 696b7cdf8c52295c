"""MLflow's registry and Feast's online store. Importing this module imports both, which takes seconds."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

import numpy as np
from feast import FeatureStore
from feast.errors import FeastError
from sqlalchemy.exc import SQLAlchemyError

from pipelines.core.errors import ConfigError, ServiceError
from pipelines.core.features.freshness import Freshness
from pipelines.core.features.user_features import UserFeatures, UserState
from pipelines.core.models.bundle import Bundle
from pipelines.io.features.feast_store import open_store
from pipelines.io.features.online_features import OnlineFeatures
from pipelines.io.models import registry
from pipelines.io.models.fetched_models import FetchedModels
from pipelines.settings import Settings

REDIS_PATIENCE: Final = "socket_connect_timeout=0.25,socket_timeout=0.5,retry=null"
"""For Feast's connection string: a request waits no longer for Redis. The client itself would retry for seconds."""

T = TypeVar("T")


class MlflowAndFeast:
    """The real backends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models = FetchedModels.of(settings)
        self._store: FeatureStore | None = None

    def aliases(self) -> Mapping[str, int]:
        """The registered model's aliases."""
        return registry.aliases(self._settings.mlflow_tracking_uri)

    def bundle(self, version: int) -> Bundle:
        """Fetch the version into the lake and open it."""
        return self._models.open(version)

    def release(self, in_use: Collection[int]) -> None:
        """Remove fetched versions that nobody needs, but for a few."""
        self._models.prune(in_use)

    def features(self, service: str) -> "FeastFeatures":
        """The service's features as the registry declares them now, read through Feast."""
        return _served(lambda: FeastFeatures(OnlineFeatures(self._refreshed(), service)))

    def _refreshed(self) -> FeatureStore:
        if self._store is None:
            self._store = open_store(self._settings)
            online = self._store.config.online_store
            online.connection_string = f"{online.connection_string},{REDIS_PATIENCE}"
            self._store.config.registry.cache_ttl_seconds = 0  # never expires: only this method asks Postgres
        self._store.refresh_registry()
        return self._store


class FeastFeatures:
    """``OnlineFeatures`` whose failures are ServiceErrors."""

    def __init__(self, online: OnlineFeatures) -> None:
        self._online = online

    @property
    def as_of(self) -> datetime:
        """What the features know of ends here, UTC."""
        return _served(lambda: self._online.as_of)

    def freshness(self) -> Sequence[Freshness]:
        """How far each feature view of the service is."""
        return _served(self._online.freshness)

    def user(self, user_id: str) -> Mapping[str, float]:
        """The user's features."""
        return _served(lambda: self._online.user(user_id))

    def state(self, user_id: str) -> UserState:
        """The user's features and session, in one round trip."""
        return _served(lambda: self._online.state(user_id))

    def request(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        """All that a recommendation reads, in one round trip."""
        return _served(lambda: self._online.request(user_id, item_ids, categories))

    def pairs(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        """The user with each item and in each category, in one round trip."""
        return _served(lambda: self._online.pairs(user_id, item_ids, categories))

    def items(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """The items' features."""
        return _served(lambda: self._online.items(item_ids))

    def cards(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """What people see of the items."""
        return _served(lambda: self._online.cards(item_ids))


def _served(call: Callable[[], T]) -> T:
    """What ``call`` returns.

    Raises:
        ServiceError: Feast can't reach its registry or what it needs isn't there.
    """
    try:
        return call()
    except (SQLAlchemyError, FeastError, ConfigError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ServiceError(f"Feast: {type(error).__name__}: {first}") from error
