"""Live events read back from Postgres, some at a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa
from psycopg import Connection

from pipelines.core.columns import EVENT_SCHEMA, Col
from pipelines.core.lists.live_event import LiveEvent, Stored

_FIELDS: Final = f"seq, {', '.join(LiveEvent._fields)}"
_CANONICAL: Final = (
    Col.EVENT_ID, Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE, Col.TIMESTAMP, Col.QUANTITY, Col.PRICE,
)  # fmt: skip
_SCHEMA: Final = pa.schema([EVENT_SCHEMA.field(name) for name in _CANONICAL])


def unpushed(connection: Connection, most: int, after: int = 0) -> list[Stored]:
    """The oldest events that aren't online yet; of those ``after`` a number."""
    query = f"SELECT {_FIELDS} FROM live.events WHERE NOT pushed AND seq > %s ORDER BY seq LIMIT %s"
    return _stored(connection.execute(query.encode(), [after, most]).fetchall())


def mark_pushed(connection: Connection, seqs: Sequence[int]) -> None:
    """Note that events are online."""
    connection.execute("UPDATE live.events SET pushed = true WHERE seq = ANY(%s)", [list(seqs)])


def since(connection: Connection, first: int, at: datetime, most: int) -> list[Stored]:
    """The first events from number ``first`` on that happened at ``at`` or later, in order of their numbers."""
    query = f"SELECT {_FIELDS} FROM live.events WHERE seq >= %s AND ts >= %s ORDER BY seq LIMIT %s".encode()
    return _stored(connection.execute(query, [first, at, most]).fetchall())


def users_since(connection: Connection, first: int, at: datetime, most: int) -> Iterator[list[str]]:
    """The users of such events, each once."""
    query = "SELECT DISTINCT user_id FROM live.events WHERE user_id > %s AND seq >= %s AND ts >= %s ORDER BY 1 LIMIT %s"
    last = ""
    while users := [user for (user,) in connection.execute(query, [last, first, at, most]).fetchall()]:
        yield users
        last = users[-1]


def of_users(connection: Connection, users: Sequence[str], first: int, at: datetime) -> pa.Table:
    """All such events of some users, as canonical ones."""
    rows = connection.execute(
        "SELECT event_id, user_id, item_id, event_type, ts, quantity, price FROM live.events "
        "WHERE user_id = ANY(%s) AND seq >= %s AND ts >= %s",
        [list(users), first, at],
    ).fetchall()
    columns = zip(*rows, strict=True) if rows else ([] for _ in _SCHEMA)
    return pa.table([pa.array(list(c), f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)


def _stored(rows: Sequence[tuple[object, ...]]) -> list[Stored]:
    return [Stored(int(str(seq)), LiveEvent(*event)) for seq, *event in rows]  # type: ignore[arg-type]
