"""Erases users: what the servers hold of them goes at once, what the lake holds with the next run of the pipeline."""

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pipelines.core.errors import RecoMartError, ServiceError
from pipelines.settings import Settings
from serving import late
from serving.security.erasures import Erasures

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True)
class Erasure:
    """When a user was erased (UTC), and what went."""

    at: datetime
    events: int
    recommendations: int
    features: int
    """Rows of the feature tables."""
    online: int
    """Keys of the online store."""


class Eraser:
    """One at a time; nothing is opened before the first one."""

    def __init__(self, settings: Settings, erasures: Erasures) -> None:
        self._settings, self._erasures = settings, erasures
        self._store: FeatureStore | None = None
        self._lock = threading.Lock()

    def erase(self, user_id: str) -> Erasure:
        """Remove all that is known of a user; doing it again is safe and removes what has come since.

        Raises:
            ServiceError: a server doesn't answer. Then nothing is promised; try again.
        """
        with late.feast():
            from pipelines.io import postgres
            from pipelines.io.features import feast_store
            from pipelines.io.live import erasure, user_data  # takes seconds

        with self._lock:
            try:
                with postgres.connect(self._settings) as connection:
                    if self._store is None:
                        self._store = feast_store.open_store(self._settings)
                    at = erasure.record(connection, user_id)
                    removed = user_data.remove(connection, self._store, user_id)
            except ServiceError:
                raise
            except (RecoMartError, OSError) as error:
                raise ServiceError(str(error)) from error
            self._erasures.note(user_id, at.timestamp())
        rows = dict(removed.rows)
        events, recommendations = rows.pop("live.events", 0), rows.pop("live.recommendations", 0)
        return Erasure(at, events, recommendations, sum(rows.values()), removed.online)
