"""How far the feature views are: declared in Feast, published in Postgres, materialized in Redis."""

from datetime import UTC, datetime

from feast import FeatureStore, FeatureView

from pipelines.core.errors import ServiceError
from pipelines.core.features.freshness import TAG, Freshness, parse_max_age
from pipelines.io import postgres
from pipelines.io.features import publications
from pipelines.io.features.feast_store import answered
from pipelines.io.receipts import AS_OF
from pipelines.settings import Settings


@answered()
def published_online(store: FeatureStore) -> datetime | None:
    """The end of what was published and then materialized into this Redis (UTC); None where nothing was.

    Raises:
        ServiceError: Redis doesn't answer.
    """
    told = store._get_provider().online_store._get_client(store.config.online_store).get(AS_OF)
    return datetime.fromisoformat(told.decode() if isinstance(told, bytes) else told) if told else None


def of_view(view: FeatureView, published: datetime | None, newest: datetime | None = None) -> Freshness:
    """How far ``view`` is: the end of its last materialization, but never later than what was published.

    A materialization "up to now" of a log that ended long ago brings nothing new.

    Raises:
        ConfigError: it doesn't declare a maximum age.
    """
    end = view.most_recent_end_time
    online = min(end.astimezone(UTC), published) if end and published else None
    return Freshness(view.name, parse_max_age(view.tags.get(TAG), view.name), online, newest)


@answered()
def of_all(settings: Settings, store: FeatureStore) -> list[Freshness]:
    """All declared views by name.

    Raises:
        ServiceError: nothing was applied yet, or a server doesn't answer.
        ConfigError: a view doesn't declare a maximum age.
    """
    views = sorted(store.list_feature_views(), key=lambda view: view.name)
    if not views:
        raise ServiceError("the registry holds no feature views: run `make pipeline`")
    with postgres.connect(settings) as connection:
        newest = publications.newest(connection)
    published = published_online(store)
    return [of_view(view, published, newest.get(view.name)) for view in views]
