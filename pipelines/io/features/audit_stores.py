"""What the stores answer to an audit: the offline store at any moment, the online store now."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureStore
from psycopg import Connection

from pipelines.core.columns import UTC_US, Col
from pipelines.core.errors import ServiceError
from pipelines.core.features.audit import Pair
from pipelines.core.features.brute_force import Values
from pipelines.core.features.feature_views import VIEWS
from pipelines.io.features import feature_rows
from pipelines.io.features.online_features import Read

AT_ONCE: Final = 2_000
"""Rows in one read: few enough to show how far it is."""


def offline(store: FeatureStore, view: str, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Values | None]]:
    """What ``get_historical_features`` says of each pair of ``view``, in their order; None where it says nothing."""
    features = list(VIEWS[view].features)
    for start in range(0, len(pairs), AT_ONCE):
        part = pairs[start : start + AT_ONCE]
        job = store.get_historical_features(_frame(view, part), [f"{view}:{name}" for name in features])
        rows = job.to_arrow().select(features).to_pylist()
        yield from zip(part, map(_row, rows), strict=True)


def materialized(store: FeatureStore, view: str) -> datetime:
    """The end of the view's last materialization (UTC).

    Raises:
        ServiceError: there was none yet.
    """
    end = store.get_feature_view(view).most_recent_end_time
    if end is None:
        raise ServiceError(f"{view} was never materialized: run `make pipeline`")
    return end.astimezone(UTC)


def published(
    connection: Connection, view: str, keys: Sequence[tuple[str, ...]], until: datetime
) -> dict[tuple[str, ...], Values]:
    """Each entity's newest row up to ``until`` in the offline tables: event_timestamp and features."""
    table = feature_rows.newest(connection, view, keys, until)
    entities = zip(*(table[key].to_pylist() for key in VIEWS[view].keys), strict=True)
    stamps = table[Col.EVENT_TIMESTAMP].cast(pa.int64())
    rows = table.select(list(VIEWS[view].features)).append_column(Col.EVENT_TIMESTAMP, stamps).to_pylist()
    return dict(zip(entities, rows, strict=True))


def online(
    store: FeatureStore, view: str, keys: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Values | None]]:
    """What a bulk read of the online store says of each entity: event_timestamp and features; None without a row."""
    of_view, features, online_store = store.get_feature_view(view), list(VIEWS[view].features), _online_store(store)
    for start in range(0, len(keys), AT_ONCE):
        part = keys[start : start + AT_ONCE]
        asked = dict(zip(VIEWS[view].keys, map(list, zip(*part, strict=True)), strict=True))
        (read,) = online_store.read_columns(store.config, [Read(of_view, asked, features)])
        stamps = read.event_timestamp.astype("datetime64[us]").astype("int64").tolist()
        known = ~np.isnat(read.event_timestamp)
        columns = [_values(read.values[name]) for name in features]
        for entity, there, stamp, *values in zip(part, known.tolist(), stamps, *columns, strict=True):
            row = {Col.EVENT_TIMESTAMP: stamp} | dict(zip(features, values, strict=True))
            yield entity, row if there else None


def _online_store(store: FeatureStore) -> Any:
    return store._get_provider().online_store


def _values(column: np.ndarray[Any, Any]) -> list[Any]:
    """As Python's own; NaN, which stands for a missing number, as None."""
    return [None if isinstance(value, float) and value != value else value for value in column.tolist()]


def _frame(view: str, pairs: Sequence[Pair]) -> pd.DataFrame:
    keys = zip(*(pair.keys for pair in pairs), strict=True)
    stamps = pa.array([pair.at for pair in pairs], pa.int64()).cast(UTC_US).to_pandas()
    return pd.DataFrame(dict(zip(VIEWS[view].keys, keys, strict=True)) | {Col.EVENT_TIMESTAMP: stamps})


def _row(values: Values) -> Values | None:
    return values if any(value is not None for value in values.values()) else None
