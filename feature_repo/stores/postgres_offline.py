"""An offline store on Postgres whose point-in-time join reads an index once per row that is asked for.

It replaces three things of Feast's own Postgres store and inherits the rest:

- The entity rows go up by COPY into a temporary table with a row number, so that order and duplicates stay and views
  with several join keys can't be mixed up (Feast concatenates keys without a separator).
- Each view joins by ``LEFT JOIN LATERAL (… ORDER BY event_timestamp DESC, created_timestamp DESC LIMIT 1)``: with an
  index on (keys, event_timestamp DESC, created_timestamp DESC) one descent for each row, instead of joining all of an
  entity's history and ranking it.
- Results come down by COPY and become Arrow without a Python object for each value; timestamps keep their zone, UTC.
"""

from datetime import datetime
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
    PostgreSQLRetrievalJob,
)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig

from feature_repo.stores.arrow_copy import download
from feature_repo.stores.point_in_time import EntityRows, connected, point_in_time_query


class LateralPostgreSQLOfflineStoreConfig(PostgreSQLOfflineStoreConfig):
    """Feast's Postgres settings under this store's type."""

    type: Literal["feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore"] = (
        "feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore"
    )


class LateralPostgreSQLOfflineStore(PostgreSQLOfflineStore):
    """Feast's Postgres offline store with an exact, indexed point-in-time join and COPY both ways."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        """A job that yields the entity rows in their order, each with the features that were newest at its time.

        Args:
            entity_df: a frame, or the text of a query, with the join keys and one timestamp column. Without it all
                rows between ``start_date`` and ``end_date`` come, as Feast's own store gives them.
            filter_by_created_timestamp: rows created after an entity row's time stay hidden from it.
        """
        if entity_df is None:
            job = PostgreSQLOfflineStore.get_historical_features(
                config, feature_views, feature_refs, None, registry, project, full_feature_names,
                filter_by_created_timestamp, **kwargs,
            )  # fmt: skip
            return CopyRetrievalJob.of(job)
        keys = offline_utils.get_expected_join_keys(project, feature_views, registry) - {DUMMY_ENTITY_ID}
        rows = EntityRows.of(config, entity_df, keys)
        contexts = offline_utils.get_feature_view_query_context(
            feature_refs, feature_views, registry, project, (rows.first, rows.last)
        )
        query = point_in_time_query(contexts, rows, full_feature_names, filter_by_created_timestamp)
        return CopyRetrievalJob(
            query=query,
            config=config,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[c for c in rows.columns if c != rows.timestamp],
                min_event_timestamp=rows.first,
                max_event_timestamp=rows.last,
            ),
            rows=rows,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """A job that yields each entity's newest row between the two dates."""
        return CopyRetrievalJob.of(
            PostgreSQLOfflineStore.pull_latest_from_table_or_query(
                config, data_source, join_key_columns, feature_name_columns, timestamp_field,
                created_timestamp_column, start_date, end_date,
            )
        )  # fmt: skip

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """A job that yields every row between the two dates."""
        return CopyRetrievalJob.of(
            PostgreSQLOfflineStore.pull_all_from_table_or_query(
                config, data_source, join_key_columns, feature_name_columns, timestamp_field,
                created_timestamp_column, start_date, end_date,
            )
        )  # fmt: skip


class CopyRetrievalJob(PostgreSQLRetrievalJob):
    """Feast's Postgres job, but its rows come by COPY, and its entity rows live and die with its connection."""

    def __init__(
        self, query: Any, config: RepoConfig, full_feature_names: bool, rows: EntityRows | None = None, **kwargs: Any
    ) -> None:
        super().__init__(query, config, full_feature_names, **kwargs)
        self._rows = rows

    @classmethod
    def of(cls, job: RetrievalJob) -> "CopyRetrievalJob":
        """The job of Feast's own store, downloaded by COPY."""
        assert isinstance(job, PostgreSQLRetrievalJob)
        return cls(
            job._query_generator,
            job.config,
            job.full_feature_names,
            on_demand_feature_views=job.on_demand_feature_views,
            metadata=job.metadata,
        )

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with self._query_generator() as query, connected(self.config) as connection:
            if self._rows is None:
                return download(connection, query)
            self._rows.create(connection)
            return self._rows.beside(download(connection, query))
