"""The rows that features are asked for, whatever they come as, read chunk by chunk."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from feast.errors import FeastEntityDFMissingColumnsError, InvalidEntityType
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig

from feature_repo.stores.arrow_copy import Session, quoted, session

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class EntityRows:
    """Rows with join keys and a time, whose first and last are known; ``read`` yields them in order, times in UTC.

    ``read(session, rows)`` yields tables of ``rows`` rows (the last is shorter), at least one, which may be empty.
    """

    columns: list[str]
    timestamp: str
    first: datetime
    last: datetime
    read: Callable[[Session, int], Iterator[pa.Table]]

    @classmethod
    def of(cls, config: PostgreSQLConfig, entity_df: Any, keys: set[str]) -> "EntityRows":
        """The rows of a pandas frame, an Arrow table, a Parquet file or folder (its path), or a query (its text).

        Raises:
            EntityTimestampInferenceException: no column, or more than one, could be the timestamp.
            FeastEntityDFMissingColumnsError: a join key is missing.
            FileNotFoundError: a path that ends with ``.parquet`` does not exist.
        """
        rows = cls._of(config, entity_df)
        missing = keys - set(rows.columns)
        if missing:
            raise FeastEntityDFMissingColumnsError(keys | {rows.timestamp}, missing)
        return rows

    @classmethod
    def _of(cls, config: PostgreSQLConfig, entity_df: Any) -> "EntityRows":
        if isinstance(entity_df, pd.DataFrame):
            return cls._of_frame(entity_df)
        if isinstance(entity_df, pa.Table):
            return cls._of_arrow(entity_df.schema, lambda: [entity_df])
        if isinstance(entity_df, Path) or (isinstance(entity_df, str) and _is_path(entity_df)):
            dataset = ds.dataset(entity_df, format="parquet", partitioning="hive")
            return cls._of_arrow(dataset.schema, partial(_read_dataset, dataset))
        if isinstance(entity_df, str):
            return cls._of_query(config, entity_df.rstrip().rstrip(";"))
        raise InvalidEntityType(type(entity_df))

    @classmethod
    def _of_frame(cls, frame: pd.DataFrame) -> "EntityRows":
        timestamp = infer_event_timestamp_from_entity_df(dict(frame.dtypes))
        rows = frame.copy(deep=False)
        rows[timestamp] = pd.to_datetime(frame[timestamp], utc=True)

        def read(_: Session, size: int) -> Iterator[pa.Table]:
            # types of all rows: a chunk may hold nothing but nulls
            schema = pa.Schema.from_pandas(rows, preserve_index=False) if len(rows) > size else None
            for start in range(0, max(len(rows), 1), size):
                yield pa.Table.from_pandas(rows.iloc[start : start + size], schema=schema, preserve_index=False)

        first, last = rows[timestamp].min(), rows[timestamp].max()
        return cls(list(rows.columns), timestamp, _moment(first), _moment(last), read)

    @classmethod
    def _of_arrow(cls, schema: pa.Schema, tables: Callable[..., Iterable[pa.Table]]) -> "EntityRows":
        timestamp = _timestamp_of(schema)

        def read(_: Session, size: int) -> Iterator[pa.Table]:
            for table in regrouped(tables(), size):
                yield _in_utc(table, timestamp)

        bounds = [pc.min_max(utc(table[timestamp])) for table in tables()]
        firsts, lasts = ([b[end].as_py() for b in bounds if b[end].is_valid] for end in ("min", "max"))
        return cls(schema.names, timestamp, min(firsts, default=EPOCH), max(lasts, default=EPOCH), read)

    @classmethod
    def _of_query(cls, config: PostgreSQLConfig, query: str) -> "EntityRows":
        with session(config) as postgres:
            schema = postgres.describe(query)
            timestamp = _timestamp_of(schema)
            t = f"{quoted(timestamp)}::timestamptz"
            bounds = postgres.table(f"SELECT min({t}) AS first, max({t}) AS last FROM ({query}) AS entity_rows")

        def read(postgres: Session, size: int) -> Iterator[pa.Table]:
            for table in postgres.pages(query, size):
                yield _in_utc(table, timestamp)

        first, last = (bounds[end][0].as_py() or EPOCH for end in ("first", "last"))
        return cls(schema.names, timestamp, first, last, read)


def regrouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The rows of ``tables`` in tables of ``rows`` rows; the last one is shorter, but there is at least one."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        count = sum(t.num_rows for t in held)
        if count > rows:
            whole = pa.concat_tables(held)
            full = (count - 1) // rows * rows
            yield from (whole.slice(start, rows) for start in range(0, full, rows))
            held = [whole.slice(full)]
    yield pa.concat_tables(held)


def utc(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """``times`` as timestamps in UTC, which those without a zone are taken to be in."""
    if not pa.types.is_timestamp(times.type):
        times = pa.chunked_array([pa.array(pd.to_datetime(times.to_pandas(), utc=True))])
    if times.type.tz is None:
        return pc.assume_timezone(times, "UTC")
    return times.cast(pa.timestamp(times.type.unit, "UTC"))


def _in_utc(table: pa.Table, timestamp: str) -> pa.Table:
    table = table.replace_schema_metadata()  # which may speak of an index
    return table.set_column(table.schema.get_field_index(timestamp), timestamp, utc(table[timestamp]))


def _timestamp_of(schema: pa.Schema) -> str:
    kinds = {f.name: np.dtype("datetime64[us]" if pa.types.is_timestamp(f.type) else "O") for f in schema}
    return infer_event_timestamp_from_entity_df(kinds)


def _read_dataset(dataset: ds.Dataset) -> Iterable[pa.Table]:
    batches = dataset.to_batches(batch_readahead=1, fragment_readahead=1)
    empty = dataset.schema.empty_table()
    return chain([empty], (pa.Table.from_batches([batch]) for batch in batches))


def _is_path(text: str) -> bool:
    """Whether ``text`` names a file or folder rather than being a query: by its ending, or because it is there."""
    try:
        return text.endswith(".parquet") or Path(text).exists()
    except OSError:  # too long for a name
        return False


def _moment(time: Any) -> datetime:
    return EPOCH if pd.isna(time) else time.to_pydatetime(warn=False)
