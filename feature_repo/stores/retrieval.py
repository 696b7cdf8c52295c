"""A retrieval job that never needs to hold its whole result."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import pyarrow as pa
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import PostgreSQLRetrievalJob
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import SavedDatasetPostgreSQLStorage
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from psycopg import sql

from feature_repo.stores.arrow_copy import session
from feature_repo.stores.entity_rows import regrouped
from feature_repo.stores.parquet_files import path_of, write_parquet

Tables = Callable[[], Generator[pa.Table]]


class CopyRetrievalJob(PostgreSQLRetrievalJob):
    """Feast's Postgres job, whose rows come by binary COPY, all of one snapshot, and can be streamed.

    Args:
        reads: the tables that the query reads.
        tables: yields the rows some at a time, at least one table, which may be empty; without it they are the query's.
    """

    def __init__(
        self,
        query: Any,
        config: RepoConfig,
        full_feature_names: bool,
        reads: Sequence[str] = (),
        tables: Tables | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(query, config, full_feature_names, **kwargs)
        self._reads = reads
        self._tables = tables or self._queried

    @classmethod
    def of(cls, job: RetrievalJob, reads: Sequence[str] = (), tables: Tables | None = None) -> "CopyRetrievalJob":
        """A job of Feast's own Postgres store with its rows brought by COPY, or with ``tables`` for its rows."""
        assert isinstance(job, PostgreSQLRetrievalJob)
        return cls(
            job._query_generator,
            job.config,
            job.full_feature_names,
            reads,
            tables,
            on_demand_feature_views=job.on_demand_feature_views,
            metadata=job.metadata,
        )

    def to_batches(self, rows: int = 10_000) -> Iterator[pa.RecordBatch]:
        """The result in batches of ``rows`` rows (the last is shorter), of which few are in memory at a time."""
        with closing(self._computed()) as tables:
            for table in regrouped(tables, rows):
                yield from table.combine_chunks().to_batches()

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool | None = False, timeout: int | None = None
    ) -> None:
        """Stream the result into a Parquet file or a new table of Postgres; nothing is left of one that fails.

        Raises:
            SavedDatasetLocationAlreadyExists: there is such a file or table, and it must not be overwritten.
            ValueError: the storage is of another kind.
        """
        with closing(self._computed()) as tables:
            if isinstance(storage, SavedDatasetFileStorage):
                path = path_of(self.config, storage.file_options.uri)
                if path.exists() and not allow_overwrite:
                    raise SavedDatasetLocationAlreadyExists(str(path))
                write_parquet(path, tables)
            elif isinstance(storage, SavedDatasetPostgreSQLStorage):
                self._write_table(storage.postgres_options._table, tables, bool(allow_overwrite))
            else:
                raise ValueError(f"{type(storage).__name__}: a result is saved to a Parquet file or a Postgres table")

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return pa.concat_tables(self._tables())

    def _queried(self) -> Generator[pa.Table]:
        with self._query_generator() as query, session(self.config.offline_store, self._reads) as postgres:
            yield from postgres.tables(query)

    def _computed(self) -> Generator[pa.Table]:
        """The rows with the columns of on-demand views, which Feast computes for a whole job: here a table a job."""
        with closing(self._tables()) as tables:
            for table in tables:
                part = CopyRetrievalJob.of(self, tables=partial(_only, table))
                yield part.to_arrow() if self.on_demand_feature_views else table

    def _write_table(self, name: str, tables: Iterator[pa.Table], allow_overwrite: bool) -> None:
        literal = sql.Literal(name).as_string()
        with session(self.config.offline_store) as postgres:
            found = postgres.table(
                f"SELECT parse_ident({literal}) AS words, to_regclass({literal}) IS NOT NULL AS there"
            )
            if found["there"][0].as_py():
                if not allow_overwrite:
                    raise SavedDatasetLocationAlreadyExists(name)
                postgres.execute(f"DROP TABLE {name}")
            *schema, table = found["words"][0].as_py()
            postgres.upload(table, tables, schema=schema[0] if schema else None)


def _only(table: pa.Table) -> Generator[pa.Table]:
    yield table
