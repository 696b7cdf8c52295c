"""The point-in-time join: entity rows up, one indexed look-up for each row and view, and the query that says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.errors import FeastEntityDFMissingColumnsError
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.offline_utils import FeatureViewQueryContext
from feast.infra.utils.postgres.connection_utils import _get_conn
from feast.repo_config import RepoConfig
from psycopg import Connection

from feature_repo.stores.arrow_copy import UTC_US, plain, upload

ENTITY_ROWS: Final = "feast_entity_rows"
ROW_NUMBER: Final = "__row"
TIMESTAMPS: Final = (1114, 1184)  # Postgres' types timestamp and timestamptz
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class EntityRows:
    """The rows that features are asked for: a frame of ours, of which Postgres sees the keys, or a query's rows."""

    source: pa.Table | str
    columns: list[str]
    keys: list[str]
    timestamp: str
    first: datetime
    last: datetime

    @classmethod
    def of(cls, config: RepoConfig, entity_df: pd.DataFrame | str, keys: set[str]) -> "EntityRows":
        """Find the columns, the timestamp column and its range.

        Raises:
            EntityTimestampInferenceException: no column, or more than one, could be the timestamp.
            FeastEntityDFMissingColumnsError: a join key is missing.
        """
        rows = cls._of_query(config, entity_df) if isinstance(entity_df, str) else cls._of_frame(entity_df)
        missing = keys - set(rows.columns)
        if missing:
            raise FeastEntityDFMissingColumnsError(keys | {rows.timestamp}, missing)
        return replace(rows, keys=sorted(keys))

    @classmethod
    def _of_frame(cls, frame: pd.DataFrame) -> "EntityRows":
        timestamp = offline_utils.infer_event_timestamp_from_entity_df(dict(frame.dtypes))
        times = pd.to_datetime(frame[timestamp], utc=True)
        table = pa.Table.from_pandas(frame.assign(**{timestamp: times}), preserve_index=False)
        first, last = (EPOCH if pd.isna(t) else t.to_pydatetime() for t in (times.min(), times.max()))
        return cls(table.replace_schema_metadata(None), table.column_names, [], timestamp, first, last)

    @classmethod
    def _of_query(cls, config: RepoConfig, query: str) -> "EntityRows":
        with connected(config) as connection:
            described = connection.execute(f"SELECT * FROM ({query}) AS described LIMIT 0").description or ()
            dtypes = {c.name: np.dtype("datetime64[us]" if c.type_code in TIMESTAMPS else "O") for c in described}
            timestamp = offline_utils.infer_event_timestamp_from_entity_df(dtypes)
            t = f"{_quoted(timestamp)}::timestamptz"
            bounds = connection.execute(f"SELECT min({t}), max({t}) FROM ({query}) AS entity_rows")
            first, last = bounds.fetchone() or (None, None)
        return cls(query, list(dtypes), [], timestamp, first or EPOCH, last or EPOCH)

    def create(self, connection: Connection) -> None:
        """Make the temporary table that the join starts from."""
        if isinstance(self.source, str):
            connection.execute(
                f"CREATE TEMP TABLE {ENTITY_ROWS} ON COMMIT DROP AS "
                f"SELECT *, row_number() OVER () AS {ROW_NUMBER} FROM ({self.source}) AS entity_rows"
            )
        else:
            times = self.source[self.timestamp].cast(UTC_US, safe=False)  # cut to µs: no row lies in between
            columns = {self.timestamp: times, ROW_NUMBER: pa.array(range(self.source.num_rows), pa.int64())}
            upload(connection, ENTITY_ROWS, pa.table({k: plain(self.source[k]) for k in self.keys} | columns))
        connection.execute(f"ANALYZE {ENTITY_ROWS}")  # without it the planner may join whole histories

    def selected(self) -> list[str]:
        """The columns that the join must bring along; a frame's are here already."""
        return [f"e.{_quoted(c)}" for c in self.columns] if isinstance(self.source, str) else []

    def beside(self, features: pa.Table) -> pa.Table:
        """The entity rows with their features, which come in the rows' order."""
        if isinstance(self.source, str):
            return features
        return pa.table([*self.source.columns, *features.columns], names=[*self.columns, *features.column_names])


def point_in_time_query(
    views: list[FeatureViewQueryContext], rows: EntityRows, full_feature_names: bool, as_known_then: bool
) -> str:
    """Each entity row with the newest row of each view at its time, in the entity rows' order."""
    joins = [
        f"LEFT JOIN LATERAL ({_newest(view, rows.timestamp, full_feature_names, as_known_then)}) AS v{i} ON true"
        for i, view in enumerate(views)
    ]
    columns = ", ".join([*rows.selected(), *(f"v{i}.*" for i in range(len(views)))])
    return f"SELECT {columns} FROM {ENTITY_ROWS} AS e {' '.join(joins)} ORDER BY e.{ROW_NUMBER}"


def _newest(view: FeatureViewQueryContext, timestamp: str, full_feature_names: bool, as_known_then: bool) -> str:
    t, created = _quoted(view.timestamp_field), view.created_timestamp_column and _quoted(view.created_timestamp_column)
    at = f"e.{_quoted(timestamp)}"
    where = [f"s.{t} <= {at}"]
    for selection in view.entity_selections:
        column, join_key = selection.split(" AS ")
        if join_key != DUMMY_ENTITY_ID:
            where.append(f"s.{_quoted(column)} = e.{_quoted(join_key)}")
    if view.ttl:
        where.append(f"s.{t} >= {at} - interval '{view.ttl} seconds'")
    if created and as_known_then:
        where.append(f"s.{created} <= {at}")
    features = (
        f"s.{_quoted(column)} AS {_quoted(f'{view.name}__{name}' if full_feature_names else name)}"
        for column in view.features
        for name in (view.field_mapping.get(column, column),)
    )
    order = f"s.{t} DESC" + (f", s.{created} DESC" if created else "")
    return (
        f"SELECT {', '.join(features)} FROM {view.table_subquery} AS s "
        f"WHERE {' AND '.join(where)} ORDER BY {order} LIMIT 1"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def connected(config: RepoConfig) -> Iterator[Connection]:
    """A connection to the offline store, in one transaction, with times in UTC."""
    with _get_conn(config.offline_store) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection
