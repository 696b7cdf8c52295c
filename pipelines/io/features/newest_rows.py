"""The newest row of each entity of a view, out of Postgres in pages of keys."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa
from feast import FeatureStore, FeatureView
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from psycopg import Connection, errors, sql

from pipelines.core.errors import ServiceError
from pipelines.core.features.online_plan import BEGINNING, EVERYTHING, Job

PAGE: Final = 50_000

FULL: Final = """
SELECT DISTINCT ON ({keys}) {columns} FROM {table} WHERE {stamp} <= {end} AND {after}
ORDER BY {keys}, {stamp} DESC, {created} DESC LIMIT {page}"""
CHANGED: Final = """
SELECT n.* FROM (
    SELECT DISTINCT {keys} FROM {table}
    WHERE ({stamp} >= {from_stamp} OR {created} >= {from_created}) AND {stamp} <= {end} AND {after}
    ORDER BY {keys} LIMIT {page}
) AS c CROSS JOIN LATERAL (
    SELECT {columns} FROM {table} AS r WHERE {same} AND {stamp} <= {end}
    ORDER BY {stamp} DESC, {created} DESC LIMIT 1
) AS n ORDER BY {keys}"""
KEYS: Final = "SELECT {keys}, max({stamp}) AS {stamp} FROM {table} WHERE {stamp} <= {end} GROUP BY {keys}"


class NewestRows:
    """Reads through Feast's offline store, so in its types. Pages are in the order of the keys."""

    def __init__(self, connection: Connection, store: FeatureStore, view: FeatureView) -> None:
        source = view.batch_source
        assert isinstance(source, PostgreSQLSource)
        assert source.timestamp_field
        self._connection, self._store, self._view = connection, store, view
        self._join_keys = list(view.join_keys)
        self._parts = {
            "table": sql.SQL(source.get_table_query_string()),
            "keys": _names(self._join_keys),
            "columns": _names([*self._join_keys, *(field.name for field in view.features), source.timestamp_field]),
            "stamp": sql.Identifier(source.timestamp_field),
            "created": sql.Identifier(source.created_timestamp_column or source.timestamp_field),
            "same": sql.SQL(" AND ").join(sql.SQL("r.{0} = c.{0}").format(sql.Identifier(k)) for k in self._join_keys),
        }

    def pages(self, job: Job) -> Iterator[pa.Table]:
        """Keys, features and stamp of the entities that ``job`` is about, after its last key.

        Raises:
            ServiceError: the view's table isn't there.
        """
        rows = PAGE
        while rows == PAGE:
            page = self._read(FULL if job.full else CHANGED, job)
            rows = page.num_rows
            if rows:
                yield page
                job = replace(job, last=self.last_key(page))

    def keys(self, job: Job) -> pa.Table:
        """The join keys of all entities that have a row up to the job's end."""
        return self._read(KEYS, job).select(self._join_keys)

    def no_keys(self) -> pa.Table:
        """The join keys of no entity."""
        return pa.table({key: pa.array([], pa.string()) for key in self._join_keys})

    def last_key(self, page: pa.Table) -> tuple[str, ...]:
        """The keys of the last row."""
        return tuple(page[key][-1].as_py() for key in self._join_keys)

    def _read(self, query: str, job: Job) -> pa.Table:
        after: sql.Composable = sql.SQL("TRUE")
        if job.last:
            values = sql.SQL(", ").join(map(sql.Literal, job.last))
            after = sql.SQL("({}) > ({})").format(self._parts["keys"], values)
        bounds = {"end": job.end, "from_stamp": job.stamped or job.end, "from_created": job.created or EVERYTHING}
        literals = {name: sql.Literal(value) for name, value in bounds.items()}
        text = sql.SQL(query).format(**self._parts, **literals, after=after, page=sql.Literal(PAGE))
        view, offline = self._view, self._store._get_provider().offline_store
        source = PostgreSQLSource(
            name=view.name, query=text.as_string(self._connection), timestamp_field=view.batch_source.timestamp_field
        )
        stamp = str(source.timestamp_field)
        rows = offline.pull_all_from_table_or_query(
            self._store.config, source, self._join_keys, [], stamp, None, BEGINNING, job.end
        )
        try:
            return rows.to_arrow()
        except errors.UndefinedTable as error:
            raise ServiceError(f"{str(error).splitlines()[0]}: run `make pipeline`") from None


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
