"""The point-in-time join: the different (keys, time) of the entity rows up, one indexed look-up for each, rows back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.offline_stores.offline_utils import FeatureViewQueryContext

from feature_repo.stores.arrow_copy import UTC_US, Session, postgres_type, quoted

MOMENTS: Final = "feast_moments"
"""Temporary table: place bigint, at timestamptz, and the keys as key_0, key_1, …: what one view is asked for."""
INTEGERS: Final = ("int2", "int4", "int8")
MOST: Final = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ViewJoin:
    """How one feature view joins the entity rows.

    ``keys``: join key -> its column of the source; ``types``: join key -> the Postgres type to compare it as.
    """

    keys: dict[str, str]
    types: dict[str, str]
    timestamp: str
    query: str

    @classmethod
    def of(
        cls, postgres: Session, view: FeatureViewQueryContext, timestamp: str, full: bool, known: bool
    ) -> "ViewJoin":
        """Look at the view's source.

        Args:
            timestamp: the entity rows' column.
            full: features are named with their view.
            known: rows created after an entity row's time stay hidden from it.
        """
        keys = {key: column for key, column in map(_key_and_column, view.entity_selections) if key != DUMMY_ENTITY_ID}
        types = _types(postgres, view.table_subquery, keys)
        features = ", ".join(
            f"s.{quoted(column)} AS {quoted(name)}" for column, name in feature_names(view, full).items()
        )
        order = postgres.newest_first(view.table_subquery, view.timestamp_field, view.created_timestamp_column)
        query = (
            f"SELECT e.place, v.* FROM {MOMENTS} AS e LEFT JOIN LATERAL ("
            f"SELECT {features} FROM {view.table_subquery} AS s WHERE {_condition(view, keys, types, known)} "
            f"ORDER BY {order} LIMIT 1) AS v ON true"
        )
        return cls(keys, types, timestamp, query)

    def features(self, postgres: Session, rows: pa.Table) -> pa.Table:
        """The view's features for each of ``rows``, null where the view has no row then.

        Each different (keys, time) is looked up once, in their order: neighbours share the index's pages.
        """
        keys = [_comparable(rows[key], self.types[key]) for key in self.keys]
        times = rows[self.timestamp].cast(UTC_US, safe=False)  # cut to µs: no row lies in between
        first, group = distinct([*keys, times])
        columns = {"place": pa.array(np.arange(len(first))), "at": times.take(first)}
        columns |= {f"key_{k}": column.take(first) for k, column in enumerate(keys)}
        with postgres.uploaded(MOMENTS, pa.table(columns)):
            found = postgres.table(self.query).combine_chunks()
        place = np.empty(len(first), dtype=np.int64)
        place[found["place"].to_numpy()] = np.arange(len(first))
        return found.drop_columns(["place"]).take(place[group])


def feature_names(view: FeatureViewQueryContext, full: bool) -> dict[str, str]:
    """Column of the source -> name in the result."""
    named = {column: view.field_mapping.get(column, column) for column in view.features}
    return {column: f"{view.name}__{name}" if full else name for column, name in named.items()}


def _key_and_column(selection: str) -> tuple[str, str]:
    column, _, key = selection.partition(" AS ")
    return key, column


def _types(postgres: Session, table: str, keys: dict[str, str]) -> dict[str, str]:
    """The types of the source's keys: a key of another type could not use the index. Integers of all widths can."""
    described = postgres.describe(f"SELECT {', '.join(quoted(column) for column in keys.values())} FROM {table} AS s")
    types = map(postgres_type, described)
    return {key: "int8" if kind in INTEGERS else kind for key, kind in zip(keys, types, strict=True)}


def _condition(view: FeatureViewQueryContext, keys: dict[str, str], types: dict[str, str], known: bool) -> str:
    t = f"s.{quoted(view.timestamp_field)}"
    conditions = [f"{t} <= e.at"]
    for k, (key, column) in enumerate(keys.items()):
        conditions.append(f"s.{quoted(column)} = e.key_{k}::{quoted(types[key])}")
    if view.ttl:
        conditions.append(f"{t} >= e.at - interval '{view.ttl} seconds'")
    if view.created_timestamp_column and known:
        created = f"s.{quoted(view.created_timestamp_column)}"
        conditions.append(f"({created} <= e.at OR {created} IS NULL)")
    return " AND ".join(conditions)


def _comparable(keys: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """``keys`` ready for Postgres: NaN is no key, and among whole numbers neither is a fraction."""
    if pa.types.is_dictionary(keys.type):
        keys = keys.cast(keys.type.value_type)
    if pa.types.is_floating(keys.type):
        whole = pc.and_(pc.equal(keys, pc.round(keys)), pc.less(pc.abs(keys), 2.0**63))
        keys = pc.if_else(whole if kind == "int8" else pc.is_finite(keys), keys, None)
    return keys


def latest_query(
    postgres: Session,
    table: str,
    keys: Sequence[str],
    features: Sequence[str],
    timestamp: str,
    created: str | None,
    between: str,
) -> str:
    """The newest row of each entity whose time is ``between``, in the index's order, so that nothing is numbered.

    Without features all columns of the table; without keys one row, under Feast's key of no entity.
    """
    columns = [*keys, *features, timestamp, *([created] if created else [])] if features else []
    selected = ", ".join(map(quoted, columns)) or "s.*"
    found = f"FROM {table} AS s WHERE {quoted(timestamp)} BETWEEN {between} ORDER BY"
    order = postgres.newest_first(table, timestamp, created)
    if not keys:
        return f"SELECT {selected}, {DUMMY_ENTITY_VAL!r} AS {DUMMY_ENTITY_ID} {found} {order} LIMIT 1"
    by = ", ".join(map(quoted, keys))
    return f"SELECT DISTINCT ON ({by}) {selected} {found} {by}, {order}"


def distinct(columns: Sequence[pa.ChunkedArray]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each different row of ``columns`` stands first, in the rows' order; and for each row, which of them it is.

    Returns: ``first`` of one index a different row, ``group`` of one place in ``first`` a row.
    """
    combined, span = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        rank, count = _ranks(column)
        if span * (count + 1) > MOST:
            combined, span = np.unique(combined, return_inverse=True)[1], len(combined)
        combined, span = combined * (count + 1) + rank, span * (count + 1)
    return np.unique(combined, return_index=True, return_inverse=True)[1:]


def _ranks(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], int]:
    """For each value its place among the different values in order (nulls come last), and how many those are."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    count = len(encoded.dictionary)
    rank = np.empty(count + 1, dtype=np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(count)
    rank[count] = count
    return rank[pc.fill_null(encoded.indices.cast(pa.int64()), count).to_numpy()], count
