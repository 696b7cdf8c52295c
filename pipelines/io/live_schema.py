"""The schema ``live`` of Postgres: what the service itself writes."""

from typing import Final

from psycopg import Connection

SCHEMA: Final = "live"


def create(connection: Connection) -> None:
    """Have the schema. Programs that start at the same time wait for each other; Postgres alone would fail one."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('schema live'))")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")


def holds(connection: Connection, table: str) -> bool:
    """Whether the schema has the table."""
    found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.{table}"]).fetchone()
    return bool(found and found[0])
