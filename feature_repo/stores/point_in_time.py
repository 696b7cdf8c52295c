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
MOST: Final = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ViewJoin:
    """How one feature view joins the entity rows."""

    view: FeatureViewQueryContext
    timestamp: str
    full_feature_names: bool
    as_known_then: bool

    def features(self, postgres: Session, rows: pa.Table) -> pa.Table:
        """The view's features for each of ``rows``, null where the view has no row then.

        Each different (keys, time) is looked up once, in their order: neighbours share the index's pages.
        """
        keys = [rows[join_key] for join_key in self._keys]
        times = rows[self.timestamp].cast(UTC_US, safe=False)  # cut to µs: no row lies in between
        first, group = distinct([*keys, times])
        columns = {"place": pa.array(np.arange(len(first))), "at": times.take(first)}
        columns |= {f"key_{k}": column.take(first) for k, column in enumerate(keys)}
        with postgres.uploaded(MOMENTS, pa.table(columns)):
            found = postgres.table(self.query(postgres)).combine_chunks()
        place = np.empty(len(first), dtype=np.int64)
        place[found["place"].to_numpy()] = np.arange(len(first))
        return found.drop_columns(["place"]).take(place[group])

    @property
    def _keys(self) -> dict[str, str]:
        """Join key -> column of the source."""
        pairs = (selection.split(" AS ") for selection in self.view.entity_selections)
        return {join_key: column for column, join_key in pairs if join_key != DUMMY_ENTITY_ID}

    @property
    def names(self) -> dict[str, str]:
        """Column of the source -> name in the result."""
        view = self.view
        named = {column: view.field_mapping.get(column, column) for column in view.features}
        return {c: f"{view.name}__{name}" if self.full_feature_names else name for c, name in named.items()}

    def query(self, postgres: Session | None = None) -> str:
        """Each of `MOMENTS` with the view's newest row; keys typed as the source's, where ``postgres`` tells."""
        order = newest_first(self.view.timestamp_field, self.view.created_timestamp_column)
        features = ", ".join(f"s.{quoted(column)} AS {quoted(name)}" for column, name in self.names.items())
        return (
            f"SELECT e.place, v.* FROM {MOMENTS} AS e LEFT JOIN LATERAL ("
            f"SELECT {features} FROM {self.view.table_subquery} AS s WHERE {' AND '.join(self._conditions(postgres))} "
            f"ORDER BY {order} LIMIT 1) AS v ON true"
        )

    def _conditions(self, postgres: Session | None) -> list[str]:
        view = self.view
        t = f"s.{quoted(view.timestamp_field)}"
        found = [f"{t} <= e.at"]
        types = self._key_types(postgres) if postgres else {}
        for k, column in enumerate(self._keys.values()):
            found.append(f"s.{quoted(column)} = e.key_{k}{types.get(column, '')}")
        if view.ttl:
            found.append(f"{t} >= e.at - interval '{view.ttl} seconds'")
        if view.created_timestamp_column and self.as_known_then:
            created = f"s.{quoted(view.created_timestamp_column)}"
            found.append(f"({created} <= e.at OR {created} IS NULL)")
        return found

    def _key_types(self, postgres: Session) -> dict[str, str]:
        """A key of another type than the source's (a whole number as float64, say) could not use the index."""
        columns = ", ".join(quoted(column) for column in self._keys.values())
        described = postgres.describe(f"SELECT {columns} FROM {self.view.table_subquery} AS s")
        return {field.name: f"::{quoted(postgres_type(field))}" for field in described}


def latest_query(
    table: str, keys: Sequence[str], features: Sequence[str], timestamp: str, created: str | None, between: str
) -> str:
    """The newest row of each entity whose time is ``between``, in the index's order, so that nothing is numbered.

    Without features all columns of the table; without keys one row, under Feast's key of no entity.
    """
    columns = [*keys, *features, timestamp, *([created] if created else [])] if features else []
    selected = ", ".join(map(quoted, columns)) or "s.*"
    found = f"FROM {table} AS s WHERE {quoted(timestamp)} BETWEEN {between} ORDER BY"
    order = newest_first(timestamp, created)
    if not keys:
        return f"SELECT {selected}, {DUMMY_ENTITY_VAL!r} AS {DUMMY_ENTITY_ID} {found} {order} LIMIT 1"
    by = ", ".join(map(quoted, keys))
    return f"SELECT DISTINCT ON ({by}) {selected} {found} {by}, {order}"


def newest_first(timestamp: str, created: str | None) -> str:
    """The order of the index; a row without a created timestamp is the oldest of its time."""
    return f"{quoted(timestamp)} DESC" + (f", {quoted(created)} DESC NULLS LAST" if created else "")


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
    encoded = (
        column.combine_chunks()
        if pa.types.is_dictionary(column.type)
        else pc.dictionary_encode(column.combine_chunks())
    )
    count = len(encoded.dictionary)
    rank = np.empty(count + 1, dtype=np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(count)
    rank[count] = count
    return rank[pc.fill_null(encoded.indices.cast(pa.int64()), count).to_numpy()], count
