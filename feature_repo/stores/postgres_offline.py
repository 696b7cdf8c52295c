"""An offline store on Postgres whose point-in-time join reads an index once per moment that is asked for.

It replaces these parts of Feast's own Postgres store and inherits the rest:

- Each view is asked for the different (keys, time) of the entity rows, which go up by binary COPY with their place, so
  that order and duplicates stay and views with several join keys can't be mixed up (Feast concatenates keys without a
  separator).
- It answers by ``LEFT JOIN LATERAL (… ORDER BY event_timestamp DESC, created_timestamp DESC LIMIT 1)``: with an index
  on (keys, event_timestamp DESC, created_timestamp DESC) one descent for each, instead of joining all of an entity's
  history and ranking it.
- Results come by binary COPY as Arrow, in UTC; entity rows and results can be streamed, all of one snapshot.
- Rows can be appended to a view's table.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
)
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import FeatureViewQueryContext
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig

from feature_repo.stores.appending import append
from feature_repo.stores.arrow_copy import session
from feature_repo.stores.entity_rows import EntityRows
from feature_repo.stores.parquet_files import path_of, read_parquet
from feature_repo.stores.point_in_time import ViewJoin, feature_names, latest_query
from feature_repo.stores.retrieval import CopyRetrievalJob

CHUNK_ROWS: Final = 131_072
"""Entity rows that are answered at a time."""


class LateralPostgreSQLOfflineStoreConfig(PostgreSQLOfflineStoreConfig):
    """Feast's Postgres settings under this store's type."""

    type: Literal["feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore"] = (
        "feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore"
    )


class LateralPostgreSQLOfflineStore(PostgreSQLOfflineStore):
    """Feast's Postgres offline store with an exact, indexed point-in-time join, streaming, and appending."""

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
            entity_df: the join keys and one timestamp column (without a zone: UTC) as a frame, an Arrow table, the path
                of a Parquet file or folder, or the text of a query. Without it all rows between ``start_date`` and
                ``end_date`` come, as Feast's own store gives them.
            filter_by_created_timestamp: rows created after an entity row's time stay hidden from it. A row without a
                created timestamp counts as created before all others.

        Raises:
            FeastEntityDFMissingColumnsError: a join key is missing.
            ValueError: a feature has the name of an entity row's column.
        """
        if entity_df is None:
            job = PostgreSQLOfflineStore.get_historical_features(
                config, feature_views, feature_refs, None, registry, project, full_feature_names,
                filter_by_created_timestamp, **kwargs,
            )  # fmt: skip
            return CopyRetrievalJob.of(job)
        keys = offline_utils.get_expected_join_keys(project, feature_views, registry) - {DUMMY_ENTITY_ID}
        rows = EntityRows.of(config.offline_store, entity_df, keys)
        contexts = offline_utils.get_feature_view_query_context(
            feature_refs, feature_views, registry, project, (rows.first, rows.last)
        )
        _assert_names_differ(rows, contexts, full_feature_names)
        join = partial(
            ViewJoin.of, timestamp=rows.timestamp, full=full_feature_names, known=filter_by_created_timestamp
        )
        return CopyRetrievalJob(
            query=partial(_queries, config, contexts, join),
            config=config,
            full_feature_names=full_feature_names,
            tables=partial(_joined, config, rows, contexts, join),
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[c for c in rows.columns if c != rows.timestamp],
                min_event_timestamp=rows.first,
                max_event_timestamp=rows.last,
            ),
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
        """A job that yields each entity's newest row between the two dates, in the keys' order."""
        table = data_source.get_table_query_string()
        between = f"'{start_date}'::timestamptz AND '{end_date}'::timestamptz"
        with session(config.offline_store, [table]) as postgres:
            query = latest_query(
                postgres,
                table,
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                between,
            )
        return CopyRetrievalJob(query=query, config=config, full_feature_names=False, reads=[table])

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
        """A job that yields every row between the two dates, of a table or of a dataset saved as Parquet."""
        if isinstance(data_source, FileSource):
            created = [created_timestamp_column] if created_timestamp_column else []
            columns = [*join_key_columns, *feature_name_columns, timestamp_field, *created]
            path = path_of(config, data_source.path)
            tables = partial(
                read_parquet, path, columns if feature_name_columns else None, timestamp_field, start_date, end_date
            )
            return CopyRetrievalJob(query=str(path), config=config, full_feature_names=False, tables=tables)
        return CopyRetrievalJob.of(
            PostgreSQLOfflineStore.pull_all_from_table_or_query(
                config, data_source, join_key_columns, feature_name_columns, timestamp_field,
                created_timestamp_column, start_date, end_date,
            ),
            reads=[data_source.get_table_query_string()],
        )  # fmt: skip

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append rows to the view's table, in one transaction; rows without a created timestamp are created now.

        Raises:
            ValueError: the view reads a query, or the columns are not the table's by name or type.
            psycopg.Error: Postgres refuses a row, such as one that is there already.
        """
        append(config.offline_store, feature_view.batch_source, table)
        if progress:
            progress(table.num_rows)


@contextmanager
def _queries(config: RepoConfig, views: list[FeatureViewQueryContext], join: Callable[..., ViewJoin]) -> Iterator[str]:
    """What Postgres is asked for each chunk of entity rows, as text."""
    with session(config.offline_store, [view.table_subquery for view in views]) as postgres:
        yield ";\n".join(join(postgres, view).query for view in views)


def _joined(
    config: RepoConfig, rows: EntityRows, views: list[FeatureViewQueryContext], join: Callable[..., ViewJoin]
) -> Generator[pa.Table]:
    """The entity rows with each view's features, chunk by chunk."""
    with session(config.offline_store, [view.table_subquery for view in views]) as postgres:
        joins = [join(postgres, view) for view in views]
        for chunk in rows.read(postgres, CHUNK_ROWS):
            tables = [chunk, *(each.features(postgres, chunk) for each in joins)]
            fields = [field for table in tables for field in table.schema]
            columns = [column for table in tables for column in table.columns]
            yield pa.table(columns, schema=pa.schema(fields, chunk.schema.metadata))  # of pandas' types


def _assert_names_differ(rows: EntityRows, views: list[FeatureViewQueryContext], full: bool) -> None:
    doubled = sorted(set(rows.columns) & {name for view in views for name in feature_names(view, full).values()})
    if doubled:
        raise ValueError(f"{doubled}: entity columns and features at once: rename them, or ask for full_feature_names")
