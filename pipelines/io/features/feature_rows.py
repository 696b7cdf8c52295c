"""Rows of the published feature tables, looked up by their index."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import pyarrow as pa
from psycopg import Connection, sql

from pipelines.core.features.feature_views import RECENT_DAYS, VIEWS

SCHEMA = "features"


@dataclass(frozen=True)
class Question:
    """A query and the layout of its answer."""

    schema: pa.Schema
    query: bytes
    values: Sequence[object]


def newest(connection: Connection, view: str, keys: Sequence[tuple[str, ...]], until: datetime) -> pa.Table:
    """The row of each entity that is true at ``until`` (UTC), in no order; entities without one are left out.

    ``keys``: values in the order of the view's keys. Columns are those of ``VIEWS[view].schema``.
    """
    return answers(connection, [of_entities(view, keys, until)])[0]


def of_entities(view: str, keys: Sequence[tuple[str, ...]], until: datetime) -> Question:
    """What ``newest`` asks."""
    columns = [list(column) for column in zip(*keys, strict=True)] if keys else [[] for _ in VIEWS[view].keys]
    return Question(VIEWS[view].schema, _newest(view), [*columns, until])


def of_users(view: str, users: Sequence[str]) -> Question:
    """The newest row of every entity of ``view`` that belongs to one of ``users``, in no order."""
    return Question(VIEWS[view].schema, _newest_of_users(view), [list(users)])


def recent_days(users: Sequence[str]) -> Question:
    """What these users did on each of the last 30 days (RECENT_DAYS), by user, item, category and day."""
    return Question(RECENT_DAYS, _recent_days(), [list(users)])


def answers(connection: Connection, questions: Sequence[Question]) -> list[pa.Table]:
    """The rows of all questions, which Postgres hears at once: a wait for each would take longer than the rows."""
    with connection.pipeline():
        cursors = [connection.execute(question.query, question.values) for question in questions]
        rows = [cursor.fetchall() for cursor in cursors]
    return [_table(question.schema, found) for question, found in zip(questions, rows, strict=True)]


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
