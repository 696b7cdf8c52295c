"""Rows appended to the table that a feature view reads."""

from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from feast.data_source import DataSource
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig

from feature_repo.stores.arrow_copy import UTC_US, postgres_type, quoted, read_as, session
from feature_repo.stores.entity_rows import utc

ARRIVING: Final = "feast_arriving_rows"
KINDS: Final = {
    "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "time": (pa.types.is_timestamp, pa.types.is_date),
    "bytes": (pa.types.is_binary, pa.types.is_large_binary),
}
"""Types that can hold each other's values; other types hold their own."""


def append(config: PostgreSQLConfig, source: DataSource | None, rows: pa.Table) -> None:
    """Append ``rows`` to the source's table: all of them, or none.

    Raises:
        ValueError: the source is no table, or the columns are not the table's by name or type.
        psycopg.Error: Postgres refuses a row.
    """
    table = source._postgres_options._table if isinstance(source, PostgreSQLSource) else ""
    if not table:
        raise ValueError(
            f"{source.name if source else 'no source'}: rows can be appended only to a table, not to a query"
        )
    assert isinstance(source, PostgreSQLSource)
    with session(config) as postgres:
        schema = postgres.describe(f"SELECT * FROM {table}")
        fitting = _fitted(table, schema, _created(rows, source.created_timestamp_column))
        columns = ", ".join(quoted(name) for name in schema.names)
        typed = ", ".join(f"{quoted(f.name)}::{_type_name(f)}" for f in schema)
        with postgres.uploaded(ARRIVING, fitting):
            postgres.execute(f"INSERT INTO {table} ({columns}) SELECT {typed} FROM {ARRIVING}")


def _created(rows: pa.Table, column: str | None) -> pa.Table:
    """``rows`` with the present for a created timestamp that is absent."""
    if not column:
        return rows
    now = pa.scalar(datetime.now(UTC), UTC_US)
    if column not in rows.column_names:
        return rows.append_column(column, pa.repeat(now, rows.num_rows))
    given = (
        rows[column] if rows[column].null_count < rows.num_rows else pa.chunked_array([pa.nulls(rows.num_rows, UTC_US)])
    )
    filled = pc.fill_null(utc(given).cast(UTC_US, safe=False), now)
    return rows.set_column(rows.schema.get_field_index(column), column, filled)


def _fitted(table: str, schema: pa.Schema, rows: pa.Table) -> pa.Table:
    """``rows`` with the columns of ``schema``, in its order and types; the index of a pandas frame is left out."""
    rows = rows.drop_columns([name for name in rows.column_names if name.startswith("__index_level_")])
    missing, unknown = (
        sorted(set(schema.names) - set(rows.column_names)),
        sorted(set(rows.column_names) - set(schema.names)),
    )
    if missing or unknown:
        raise ValueError(f"columns of {table}: missing {missing}, unknown {unknown}")
    return pa.table({field.name: _cast(table, field, rows[field.name]) for field in schema})


def _cast(table: str, field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """``column`` as the field's type, where nothing is lost but parts of a microsecond."""
    try:
        if _kind(column.type) != _kind(field.type) and not pa.types.is_null(column.type):
            raise pa.ArrowInvalid("another kind of value")
        if pa.types.is_timestamp(field.type):
            return (utc(column) if field.type.tz else column).cast(field.type, safe=False)
        return column if read_as(field) else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        expected = postgres_type(field)
        raise ValueError(f"{table}.{field.name}: expected {expected}, not {column.type}: {error}") from error


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_kind(kind.value_type)}"
    if isinstance(kind, pa.BaseExtensionType):
        return "number" if getattr(kind, "type_name", "") == "numeric" else "text"
    return next((name for name, holds in KINDS.items() if any(test(kind) for test in holds)), str(kind))


def _type_name(field: pa.Field) -> str:
    name = postgres_type(field)
    return f"{quoted(name[1:])}[]" if name.startswith("_") else quoted(name)
