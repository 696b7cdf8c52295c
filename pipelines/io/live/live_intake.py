"""Live events on their way into the raw lake: each once, in a file for each day on which some were received.

The manifest says which numbers each file has, and is written when all files are in their places. So whatever is killed,
the next run goes on behind the last number that the manifest knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from psycopg import Connection, IsolationLevel, sql

from pipelines.core.lake.mapping import LIVE_COLUMNS
from pipelines.io import files, postgres
from pipelines.io.intake import copying, lake
from pipelines.io.live import live_log, live_spans
from pipelines.settings import Settings

_EXPRESSIONS: Final = {"timestamp": """to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""}
_COLUMNS: Final = ", ".join(f"{_EXPRESSIONS.get(name, name)} AS {column}" for name, column in LIVE_COLUMNS.items())
_OF_DAY: Final = "seq BETWEEN {first} AND {last} AND (received_at AT TIME ZONE 'UTC')::date = {day}"
_COPY: Final = sql.SQL(
    f"COPY (SELECT {_COLUMNS} FROM live.events WHERE {_OF_DAY} ORDER BY seq) TO STDOUT (FORMAT csv, HEADER)"
)


@dataclass(frozen=True)
class _Part:
    """The events of the numbers ``first`` to ``last`` that were received on ``day``."""

    day: date
    first: int
    last: int
    rows: int


def take(settings: Settings, manifest: lake.Manifest, now: datetime) -> list[dict[str, Any]]:
    """Add the live events that came since the last time to the lake of ``manifest``; returns the new files' entries.

    Where no Postgres is named, or it has no live events, there is nothing to do. The caller holds ``lake.alone``.

    Raises:
        ServiceError: Postgres doesn't answer; the lake is as it was.
    """
    if settings.postgres_host is None:
        return []
    new: list[dict[str, Any]] = []
    with postgres.connect(settings) as connection:
        if not live_log.exists(connection):
            return []
        connection.commit()  # or the lock of ``create`` would last, and deadlock with who inserts and is waited for
        live_spans.create(connection)
        spans = live_spans.of_shop(connection, manifest.source)
        connection.commit()
        connection.isolation_level = IsolationLevel.REPEATABLE_READ  # one picture, whoever is erased meanwhile
        for span in spans:
            marks = [entry[lake.LIVE] for entry in manifest.files if lake.LIVE in entry]
            known = max((mark["last"] for mark in marks if mark["span"] == span.id), default=span.first - 1)
            for part in _parts(connection, known + 1, span.last):
                mark = {"span": span.id, "first": part.first, "last": part.last}
                with copying.scratch(manifest.path.parent) as copy:
                    arrived = _copied(connection, part, copy)
                    new.append(lake.add_file(manifest, arrived, now, lake.LIVE, **{lake.LIVE: mark}))
    manifest.write()
    return new


def _parts(connection: Connection, first: int, last: int) -> Iterator[_Part]:
    rows = connection.execute(
        "SELECT (received_at AT TIME ZONE 'UTC')::date AS day, min(seq), max(seq), count(*) FROM live.events "
        "WHERE seq BETWEEN %s AND %s GROUP BY day ORDER BY day",
        [first, last],
    )
    return (_Part(*row) for row in rows.fetchall())


def _copied(connection: Connection, part: _Part, path: Path) -> copying.Copied:
    """Write the events of a part to ``path``, in RecoMart's own layout."""
    query = _COPY.format(first=sql.Literal(part.first), last=sql.Literal(part.last), day=sql.Literal(part.day))
    with path.open("wb") as file, connection.cursor().copy(query) as copy:
        for block in copy:
            file.write(block)
    name = Path(f"live.events-{part.day}.csv")
    return copying.Copied(name, path, files.sha256(path), path.stat().st_size, part.rows, time_ns=0)
