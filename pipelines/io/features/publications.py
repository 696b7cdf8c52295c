"""The books about what is published, beside the feature tables.

``features.publications`` has a row for each time that something changed, numbered by ``load``; ``features.loads`` one
for each file that is in. From them a materialization knows what came since its last one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from psycopg import Connection

from pipelines.core.errors import ServiceError
from pipelines.core.features.online_plan import Offline
from pipelines.io.features.feature_lake import FeatureFile

_BOOKS: Final = """
CREATE SCHEMA IF NOT EXISTS features;
CREATE TABLE IF NOT EXISTS features.publications (
    load bigint PRIMARY KEY, as_of timestamptz NOT NULL, tables text[] NOT NULL, replaced text[] NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS features.loads (
    view text, file text, sha256 text NOT NULL, rows bigint NOT NULL, oldest timestamptz, newest timestamptz,
    created timestamptz, load bigint NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (view, file));
"""


@dataclass(frozen=True)
class Span:
    """What a file turned out to hold: its rows and their first and last stamp."""

    rows: int
    oldest: datetime | None = None
    newest: datetime | None = None


def create(connection: Connection) -> None:
    """Make the books where there are none."""
    connection.execute(_BOOKS)


def loaded(connection: Connection, view: str) -> dict[str, str]:
    """File -> SHA-256 of what is in the view's table."""
    rows = connection.execute("SELECT file, sha256 FROM features.loads WHERE view = %s", [view]).fetchall()
    return {str(file): str(sha256) for file, sha256 in rows}


def next_load(connection: Connection) -> int:
    """The number of the next publication."""
    (last,) = connection.execute("SELECT coalesce(max(load), 0) FROM features.publications").fetchone() or (0,)
    return int(last) + 1


def note(connection: Connection, load: int, as_of: datetime, tables: Sequence[str], replaced: Sequence[str]) -> None:
    """Write a publication down."""
    connection.execute(
        "INSERT INTO features.publications VALUES (%s, %s, %s, %s)", [load, as_of, list(tables), list(replaced)]
    )


def note_files(
    connection: Connection, load: int, view: str, listed: Mapping[str, FeatureFile], spans: Mapping[str, Span]
) -> None:
    """Write down which files came into the view's table."""
    connection.cursor().executemany(
        "INSERT INTO features.loads VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (view, name, listed[name].sha256, span.rows, span.oldest, span.newest, listed[name].created, load)
            for name, span in spans.items()
        ],
    )


def forget_files(connection: Connection, view: str) -> None:
    """The view's table is replaced or dropped: nothing is in it."""
    connection.execute("DELETE FROM features.loads WHERE view = %s", [view])


def tables(connection: Connection) -> list[str]:
    """The views of the last publication; empty before the first."""
    row = connection.execute("SELECT tables FROM features.publications ORDER BY load DESC LIMIT 1").fetchone()
    return list(row[0]) if row else []


def as_of(connection: Connection) -> datetime | None:
    """What is published knows of the time up to here (UTC); None where nothing is published."""
    if not _exist(connection):
        return None
    row = connection.execute("SELECT as_of FROM features.publications ORDER BY load DESC LIMIT 1").fetchone()
    return row[0].astimezone(UTC) if row else None


def rows(connection: Connection) -> dict[str, int]:
    """View -> rows of its table; without those that have none."""
    found = connection.execute("SELECT view, sum(rows)::bigint FROM features.loads GROUP BY view").fetchall()
    return {str(view): int(n) for view, n in found}


def newest(connection: Connection) -> dict[str, datetime]:
    """View -> its newest stamp (UTC); without views that have no rows or weren't published."""
    if not _exist(connection):
        return {}
    found = connection.execute("SELECT view, max(newest) FROM features.loads GROUP BY view").fetchall()
    return {str(view): stamp.astimezone(UTC) for view, stamp in found if stamp}


def offline(connection: Connection, view: str, since: int) -> Offline:
    """What is published of ``view``, and of what came after publication ``since``.

    Raises:
        ServiceError: the view isn't among it.
    """
    row = connection.execute(
        "SELECT max(load), max(load) FILTER (WHERE %(view)s = ANY(replaced)) FROM features.publications", {"view": view}
    ).fetchone()
    end = as_of(connection)
    if row is None or row[1] is None or end is None:
        raise ServiceError(f"{view} is declared but was not published: run `make pipeline`")
    oldest, created = connection.execute(
        "SELECT min(oldest) FILTER (WHERE created IS NULL), min(created) FROM features.loads "
        "WHERE view = %s AND load > %s",
        [view, since],
    ).fetchone() or (None, None)
    return Offline(row[0], row[1], end, oldest, created)


def _exist(connection: Connection) -> bool:
    (found,) = connection.execute("SELECT to_regclass('features.loads')").fetchone() or (None,)
    return found is not None
