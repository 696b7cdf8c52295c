"""From Postgres to Redis: the newest row of each entity."""

import logging
from datetime import UTC, datetime
from typing import Final

import psycopg
from feast import FeatureStore

from pipelines.core.errors import ServiceError
from pipelines.io.feast_store import answered, logged

log = logging.getLogger(__name__)

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@answered()
def materialize(store: FeatureStore, end: datetime) -> None:
    """Make the online store hold each entity's newest row up to ``end``, and nothing else of this project's views.

    Writes all of them: a corrected row may be older than the last materialization. ``end`` becomes the watermark, also
    where it was later before (another shop's data).

    Raises:
        ServiceError: nothing was applied or published yet.
    """
    if not store.list_feature_views():
        raise ServiceError("the registry holds no feature views: run `make pipeline`")
    with logged():
        try:
            store.materialize(BEGINNING, end)
        except psycopg.errors.UndefinedTable as error:
            raise ServiceError(f"{str(error).splitlines()[0]}: run `make pipeline`") from None
    provider = store._get_provider()
    for view in store.list_feature_views():
        source = view.batch_source
        entities = provider.offline_store.pull_latest_from_table_or_query(
            store.config, source, view.join_keys, [view.features[0].name], source.timestamp_field,
            source.created_timestamp_column, BEGINNING, end,
        ).to_arrow()  # fmt: skip
        gone = provider.online_store.retain(store.config, view, entities)
        log.debug("%s: %d entities, %d gone", view.name, entities.num_rows, gone)
        view.materialization_intervals = [(BEGINNING, end)]
        store.registry.apply_feature_view(view, store.project)
