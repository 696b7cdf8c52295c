"""All that the servers hold of one user: live events, recommendations, published features, and what is online."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from feast import FeatureStore, FeatureView
from psycopg import Connection, sql

from pipelines.core.columns import Col
from pipelines.io import live_schema, postgres
from pipelines.io.features import feature_tables
from pipelines.io.features.feast_store import answered
from pipelines.io.live import erasure

LIVE: Final = ("events", "recommendations")
PROFILES: Final = "item_profile_v1"


@dataclass(frozen=True)
class Removed:
    """What went: rows of Postgres by table, and keys of Redis."""

    rows: Mapping[str, int]
    online: int


@answered()
def remove(connection: Connection, store: FeatureStore, user_id: str) -> Removed:
    """Remove all of a user from Redis at once, and from Postgres in the connection's transaction; again is safe.

    What is online is found by what Postgres has, so Redis comes first: where it fails, nothing is removed from Postgres
    and the next attempt finds the same.

    Raises:
        ServiceError: a server doesn't answer.
    """
    tables = _tables(connection)
    items = _values(connection, tables, Col.ITEM_ID, user_id)
    categories = {*_values(connection, tables, Col.CATEGORY, user_id), *_categories(connection, items)}
    beside = {Col.ITEM_ID: items, Col.CATEGORY: sorted(categories)}
    online_store: Any = store._get_provider().online_store
    online = online_store.forget(store.config, user_id, _entities(store.list_feature_views(), user_id, beside))
    rows = {f"{schema}.{table}": _delete(connection, schema, table, user_id) for schema, table in tables}
    return Removed(rows, online)


def _tables(connection: Connection) -> dict[tuple[str, str], set[str]]:
    """(schema, table) with rows of users → its columns."""
    rows = connection.execute(
        "SELECT table_schema, table_name, array_agg(column_name::text) FROM information_schema.columns "
        "WHERE table_schema = %s OR (table_schema = %s AND table_name = ANY(%s)) "
        "GROUP BY 1, 2 HAVING %s = ANY(array_agg(column_name::text)) ORDER BY 1, 2",
        [feature_tables.SCHEMA, live_schema.SCHEMA, list(LIVE), Col.USER_ID],
    )
    return {(schema, table): set(columns) for schema, table, columns in rows.fetchall()}


def _values(connection: Connection, tables: Mapping[tuple[str, str], set[str]], column: str, user_id: str) -> list[str]:
    """The values of ``column`` beside the user in any of the tables."""
    having = [
        sql.SQL("SELECT {} FROM {} WHERE user_id = {}").format(
            sql.Identifier(column), sql.Identifier(*table), sql.Literal(user_id)
        )
        for table, columns in tables.items()
        if column in columns
    ]
    rows = connection.execute(sql.SQL(" UNION ").join(having)).fetchall() if having else []
    return sorted(value for (value,) in rows if value is not None)


def _categories(connection: Connection, items: list[str]) -> list[str]:
    """The categories that any of the items was in: a live event's may be online only."""
    if not postgres.columns_of(connection, feature_tables.SCHEMA, PROFILES):
        return []
    rows = connection.execute(
        sql.SQL("SELECT DISTINCT category FROM {} WHERE item_id = ANY(%s) AND category IS NOT NULL").format(
            sql.Identifier(feature_tables.SCHEMA, PROFILES)
        ),
        [items],
    )
    return [str(category) for (category,) in rows.fetchall()]


def _entities(
    views: Iterable[FeatureView], user_id: str, beside: Mapping[str, list[str]]
) -> list[tuple[FeatureView, dict[str, pa.Array]]]:
    """The entities that the user is part of, by kind, each with a view of that kind."""
    kinds = {tuple(sorted(view.join_keys)): view for view in views if Col.USER_ID in view.join_keys}
    entities = []
    for names, view in kinds.items():
        others = {name: pa.array(beside[name], pa.string()) for name in names if name != Col.USER_ID}
        n = max(map(len, others.values())) if others else 1
        entities.append((view, {Col.USER_ID: pa.array([user_id] * n, pa.string()), **others}))
    return entities


def _delete(connection: Connection, schema: str, table: str, user_id: str) -> int:
    return connection.execute(
        sql.SQL("DELETE FROM {} WHERE user_id = %s").format(sql.Identifier(schema, table)), [user_id]
    ).rowcount


def remove_pending(connection: Connection, store: FeatureStore) -> int:
    """Remove once more what a run that began before an erasure has brought back; returns of how many users.

    Raises:
        ServiceError: a server doesn't answer.
    """
    again = erasure.pending(connection)
    for user_id in again:
        remove(connection, store, user_id)
        connection.commit()
    return len(again)
