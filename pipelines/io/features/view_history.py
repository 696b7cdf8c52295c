"""What Feast's registry remembers of the feature views: each version of a schema that was ever applied, and when."""

from dataclasses import dataclass
from datetime import datetime

from feast import FeatureStore

from pipelines.core.features.contradictions import of_view
from pipelines.core.features.published import View
from pipelines.io.features.feast_store import answered
from pipelines.io.features.published_views import view_of


@dataclass(frozen=True)
class Applied:
    """A version of a feature view in the registry."""

    version: str
    at: datetime
    """UTC, whole seconds."""
    changes: tuple[str, ...]
    """What the version before had otherwise; nothing where only descriptions differ."""


@answered()
def history(store: FeatureStore) -> dict[str, list[Applied]]:
    """View -> its versions, the oldest first. A view that was taken out of the registry takes its history with it.

    Raises:
        ServiceError: Postgres doesn't answer.
    """
    return {view.name: _of(store, view.name) for view in sorted(store.list_feature_views(), key=lambda v: v.name)}


def _of(store: FeatureStore, name: str) -> list[Applied]:
    before: View | None = None
    found = []
    for record in store.list_feature_view_versions(name):
        applied = store.registry.get_feature_view_by_version(name, store.project, record["version_number"])
        now = view_of(applied)
        changes = of_view(before, now) if before else [f"first applied, {len(now.features)} features"]
        found.append(Applied(record["version"], record["created_timestamp"], tuple(changes)))
        before = now
    return found
