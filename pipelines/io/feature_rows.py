"""Rows of the published feature tables, looked up by their index."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

import pyarrow as pa
from psycopg import Connection, sql

from pipelines.core.feature_views import RECENT_DAYS, VIEWS

SCHEMA = "features"


def newest(connection: Connection, view: str, keys: Sequence[tuple[str, ...]], until: datetime) -> pa.Table:
    """The row of each entity that is true at ``until`` (UTC), in no order; entities without one are left out.

    ``keys``: values in the order of the view's keys. Columns are those of ``VIEWS[view].schema``.
    """
    columns = [list(column) for column in zip(*keys, strict=True)] if keys else [[] for _ in VIEWS[view].keys]
    return _table(VIEWS[view].schema, connection.execute(_newest(view), [*columns, until]).fetchall())


def newest_of_users(connection: Connection, view: str, users: Sequence[str]) -> pa.Table:
    """The newest row of every entity of ``view`` that belongs to one of ``users``, in no order."""
    return _table(VIEWS[view].schema, connection.execute(_newest_of_users(view), [list(users)]).fetchall())


def recent_days(connection: Connection, users: Sequence[str]) -> pa.Table:
    """What these users did on each of the last 30 days (RECENT_DAYS), by user, item, category and day."""
    return _table(RECENT_DAYS, connection.execute(_recent_days(), [list(users)]).fetchall())


@cache
def _newest(view: str) -> bytes:
    names = VIEWS[view].keys
    same = sql.SQL(" AND ").join(sql.SQL("r.{0} = k.{0}").format(sql.Identifier(name)) for name in names)
    query = sql.SQL(
        "SELECT n.* FROM unnest({arrays}) AS k({names}) CROSS JOIN LATERAL ("
        "SELECT {columns} FROM {table} AS r WHERE {same} AND r.event_timestamp <= %s "
        "ORDER BY r.event_timestamp DESC, r.created_timestamp DESC LIMIT 1) AS n"
    ).format(
        arrays=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(names)),
        names=_listed(names),
        columns=_listed(VIEWS[view].schema.names),
        table=sql.Identifier(SCHEMA, view),
        same=same,
    )
    return query.as_bytes(None)


@cache
def _newest_of_users(view: str) -> bytes:
    query = sql.SQL(
        "SELECT DISTINCT ON ({names}) {columns} FROM {table} WHERE user_id = ANY(%s) "
        "ORDER BY {names}, event_timestamp DESC, created_timestamp DESC"
    ).format(
        names=_listed(VIEWS[view].keys),
        columns=_listed(VIEWS[view].schema.names),
        table=sql.Identifier(SCHEMA, view),
    )
    return query.as_bytes(None)


@cache
def _recent_days() -> bytes:
    query = sql.SQL("SELECT {} FROM features.recent_days WHERE user_id = ANY(%s) ORDER BY 1, 2, 3, 4")
    return query.format(_listed(RECENT_DAYS.names)).as_bytes(None)


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _table(schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(list(c), f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
