"""Which live events are which shop's (``live.spans``): each span begins with a number and ends where the next begins.

A database may serve one shop after another, and a lake may be brought to another database: so a span has an identity
of its own.
"""

from dataclasses import dataclass
from typing import Final

from psycopg import Connection

from pipelines.io import live_schema
from pipelines.io.live import live_log

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS live.spans (
    first bigint PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid(), shop text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now());
"""


@dataclass(frozen=True)
class Span:
    """The events of numbers ``first`` to ``last``, both included."""

    id: str
    first: int
    last: int


def create(connection: Connection) -> None:
    """Have the tables of live events."""
    live_log.create(connection)
    with connection.transaction():
        live_schema.create(connection)
        connection.execute(_TABLE.encode())


def of_shop(connection: Connection, shop: str) -> list[Span]:
    """The spans of ``shop`` up to now; what comes from now on is its.

    What came while another shop was connected is that one's; what came before any was is the first one's.
    """
    settled = live_log.settled(connection)
    with connection.transaction():
        connection.execute("LOCK TABLE live.spans IN EXCLUSIVE MODE")
        newest = connection.execute("SELECT shop FROM live.spans ORDER BY first DESC LIMIT 1").fetchone()
        if newest is None or newest[0] != shop:
            first = 1 if newest is None else settled + 1
            connection.execute(
                "INSERT INTO live.spans (first, shop) VALUES (%s, %s) "
                "ON CONFLICT (first) DO UPDATE SET shop = excluded.shop, begun_at = now()",  # nothing came in it
                [first, shop],
            )
        rows = connection.execute(
            "SELECT id::text, first, least(coalesce(lead(first) OVER (ORDER BY first) - 1, %(settled)s), %(settled)s), "
            "shop FROM live.spans ORDER BY first",
            {"settled": settled},
        ).fetchall()
    return [Span(id_, first, last) for id_, first, last, of in rows if of == shop]


def ids(connection: Connection) -> set[str]:
    """The identities of all spans of this database."""
    return {id_ for (id_,) in connection.execute("SELECT id::text FROM live.spans").fetchall()}


def first(connection: Connection) -> int:
    """The number of the first event of the shop that is connected."""
    (found,) = connection.execute("SELECT coalesce(max(first), 1) FROM live.spans").fetchone() or (1,)
    return int(found)
