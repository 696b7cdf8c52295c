"""The feature tables of Postgres: they follow the files of the lake, all of them in one transaction.

``features.publications`` has a row for each time that something changed, numbered by ``load``; ``features.loads`` one
for each file that is in. From them a materialization knows what came since its last one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import Connection, sql

from pipelines.core.columns import Col
from pipelines.core.errors import InputError, ServiceError
from pipelines.core.feature_views import RECENT_DAYS, VIEWS
from pipelines.core.online_plan import Offline
from pipelines.io import feature_files, files, postgres
from pipelines.io.feature_lake import FeatureFile, FeatureLake

SCHEMA: Final = "features"
RECENT: Final = "recent_days"
BATCH: Final = 65_536
BOOKS: Final = """
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
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True)
class Published:
    """What the tables hold: view -> rows, and view -> newest stamp (None without rows)."""

    load: int
    added: int
    rows: Mapping[str, int]
    newest: Mapping[str, datetime | None]


def publish(connection: Connection, lake: FeatureLake) -> Published:
    """Make the tables hold exactly what the files hold, in the connection's transaction: readers see all of it or none.

    New files are appended. A table is replaced whole where a file that is in has gone or changed, its columns are
    others, or it isn't there. Tables that this has loaded and that are no more in the lake are dropped.

    Raises:
        InputError: a file isn't what the manifest says.
        ServiceError: two rows are the same by keys and times, or another object holds on to an old table.
    """
    connection.execute(BOOKS)
    try:
        return _publish(connection, lake)
    except (psycopg.errors.UniqueViolation, psycopg.errors.DependentObjectsStillExist) as error:
        raise ServiceError(f"Postgres schema {SCHEMA}: {str(error).strip()}") from None


def _publish(connection: Connection, lake: FeatureLake) -> Published:
    before = {view: _loaded(connection, view) for view in (*lake.views, RECENT)}
    whole = [view for view in lake.views if _must_be_replaced(connection, lake, view, before[view])]
    load = _next_load(connection)
    added = {}
    for view in lake.views:
        new = list(lake.views[view]) if view in whole else [n for n in lake.views[view] if n not in before[view]]
        added[view] = _load_view(connection, lake, view, new, view in whole)
        _book(connection, lake, view, added[view], load, view in whole)
    recent = _load_recent_days(connection, lake, before[RECENT], load)
    retired = _retired(connection, lake)
    for table in [*whole, *recent]:
        _swap(connection, table)
    for table in retired:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(SCHEMA, table)))
        connection.execute("DELETE FROM features.loads WHERE view = %s", [table])
    if whole or recent or retired or any(added.values()) or _as_of(connection) != lake.until:
        connection.execute(
            "INSERT INTO features.publications VALUES (%s, %s, %s, %s)", [load, lake.until, sorted(lake.views), whole]
        )
    return _published(connection, lake, sum(span.rows for spans in added.values() for span in spans.values()))


def _loaded(connection: Connection, view: str) -> dict[str, str]:
    """File -> SHA-256 of what is in the view's table."""
    rows = connection.execute("SELECT file, sha256 FROM features.loads WHERE view = %s", [view]).fetchall()
    return {str(file): str(sha256) for file, sha256 in rows}


def _must_be_replaced(connection: Connection, lake: FeatureLake, view: str, before: Mapping[str, str]) -> bool:
    """Where it isn't what was published, or (a table of another origin) was never."""
    now = {name: file.sha256 for name, file in lake.views[view].items()}
    columns = [(field.name, postgres.TYPES[field.type]) for field in VIEWS[view].schema]
    if not connection.execute("SELECT 1 FROM features.publications WHERE %s = ANY(replaced)", [view]).fetchone():
        return True
    return not before.items() <= now.items() or postgres.columns_of(connection, SCHEMA, view) != columns


def _next_load(connection: Connection) -> int:
    (last,) = connection.execute("SELECT coalesce(max(load), 0) FROM features.publications").fetchone() or (0,)
    return int(last) + 1


def _as_of(connection: Connection) -> datetime | None:
    row = connection.execute("SELECT as_of FROM features.publications ORDER BY load DESC LIMIT 1").fetchone()
    return row[0] if row else None


def _load_view(
    connection: Connection, lake: FeatureLake, view: str, names: Sequence[str], whole: bool
) -> dict[str, Span]:
    """COPY files of a view into its table, or into ``<view>__new`` with its indexes; return what each file held."""
    schema, table = VIEWS[view].schema, sql.Identifier(SCHEMA, f"{view}__new" if whole else view)
    spans: dict[str, Span] = {}
    if whole:
        postgres.create_table(connection, table, schema)
    if names:
        batches = _batches(lake.folder / view, {n: lake.views[view][n] for n in names}, schema, spans)
        postgres.copy_in(connection, table, batches, freeze=whole)
    if whole:
        _index(connection, view, [*VIEWS[view].keys, f"{Col.EVENT_TIMESTAMP} DESC", f"{Col.CREATED_TIMESTAMP} DESC"])
        times = sql.SQL("CREATE INDEX {} ON {} USING brin ({}, {}) WITH (pages_per_range = 16, autosummarize = on)")
        names_of = (f"{view}__new_times", Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP)
        index, stamp, created = map(sql.Identifier, names_of)
        connection.execute(times.format(index, table, stamp, created))
        connection.execute(sql.SQL("ANALYZE {}").format(table))
    return spans


def _batches(
    folder: Path, listed: Mapping[str, FeatureFile], schema: pa.Schema, spans: dict[str, Span]
) -> Iterator[pa.RecordBatch]:
    """The rows of the files one after another; notes in ``spans`` what each file held once it is through."""
    for name, file in listed.items():
        path = folder / name
        if not path.exists() or files.sha256(path) != file.sha256:
            raise InputError(f"{path} isn't the file that the manifest lists: run `python -m pipelines features`")
        with pq.ParquetFile(path) as parquet:
            if parquet.schema_arrow != schema:
                raise InputError(f"{path} has not the columns of its view: run `python -m pipelines features`")
            rows, stamps = 0, []
            for batch in parquet.iter_batches(BATCH):
                rows += batch.num_rows
                stamps += list(pc.min_max(batch[Col.EVENT_TIMESTAMP]).as_py().values()) if batch.num_rows else []
                yield batch
        spans[name] = Span(rows, min(stamps, default=None), max(stamps, default=None))


def _index(connection: Connection, table: str, terms: Sequence[str]) -> None:
    """The unique index of ``<table>__new``, over ``terms`` of SQL."""
    connection.execute(
        sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(
            sql.Identifier(f"{table}__new_key"), sql.Identifier(SCHEMA, f"{table}__new"), sql.SQL(", ".join(terms))
        )
    )


def _book(
    connection: Connection, lake: FeatureLake, view: str, spans: Mapping[str, Span], load: int, whole: bool
) -> None:
    """Note which files are in."""
    if whole:
        connection.execute("DELETE FROM features.loads WHERE view = %s", [view])
    listed = lake.views[view]
    connection.cursor().executemany(
        "INSERT INTO features.loads VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (view, name, listed[name].sha256, span.rows, span.oldest, span.newest, listed[name].created, load)
            for name, span in spans.items()
        ],
    )


def _load_recent_days(connection: Connection, lake: FeatureLake, before: Mapping[str, str], load: int) -> list[str]:
    """Load the days' sums where they are others than those that are in; return what is to be swapped in."""
    path = lake.folder / feature_files.RECENT
    if not path.exists():
        raise InputError(f"{path} is missing: run `python -m pipelines features`")
    sha256 = files.sha256(path)
    if before.get(path.name) == sha256 and postgres.columns_of(connection, SCHEMA, RECENT):
        return []
    table = sql.Identifier(SCHEMA, f"{RECENT}__new")
    postgres.create_table(connection, table, RECENT_DAYS)
    with pq.ParquetFile(path) as parquet:
        rows = parquet.metadata.num_rows
        postgres.copy_in(connection, table, parquet.iter_batches(BATCH), freeze=True)
    _index(connection, RECENT, [Col.USER_ID, Col.ITEM_ID, "day", Col.CATEGORY])
    connection.execute(sql.SQL("ANALYZE {}").format(table))
    connection.execute("DELETE FROM features.loads WHERE view = %s", [RECENT])
    connection.execute(
        "INSERT INTO features.loads VALUES (%s, %s, %s, %s, NULL, NULL, NULL, %s)",
        [RECENT, path.name, sha256, rows, load],
    )
    return [RECENT]


def _retired(connection: Connection, lake: FeatureLake) -> list[str]:
    """Tables of the last publication that are in the lake no more."""
    rows = connection.execute(
        "SELECT unnest(tables) FROM features.publications WHERE load = (SELECT max(load) FROM features.publications)"
    ).fetchall()
    return sorted({str(table) for (table,) in rows} - lake.views.keys())


def _swap(connection: Connection, name: str) -> None:
    """Let ``<name>__new`` take the place of ``name``, indexes included."""
    new = [
        str(index)
        for (index,) in connection.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = %s", [SCHEMA, f"{name}__new"]
        ).fetchall()
    ]
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(SCHEMA, name)))
    for kind, old in (("TABLE", f"{name}__new"), *(("INDEX", index) for index in new)):
        plain = sql.Identifier(old.replace("__new", ""))
        connection.execute(
            sql.SQL("ALTER {} {} RENAME TO {}").format(sql.SQL(kind), sql.Identifier(SCHEMA, old), plain)
        )


def _published(connection: Connection, lake: FeatureLake, added: int) -> Published:
    found = connection.execute(
        "SELECT view, sum(rows)::bigint, max(newest) FROM features.loads GROUP BY view"
    ).fetchall()
    rows, newest = {v: int(n) for v, n, _ in found}, {v: stamp for v, _, stamp in found}
    (load,) = connection.execute("SELECT max(load) FROM features.publications").fetchone() or (0,)
    return Published(int(load), added, {v: rows.get(v, 0) for v in lake.views}, {v: newest.get(v) for v in lake.views})


def latest(connection: Connection) -> datetime | None:
    """``as_of`` of what is published; None where nothing is."""
    (books,) = connection.execute("SELECT to_regclass('features.publications')").fetchone() or (None,)
    return _as_of(connection) if books else None


def offline(connection: Connection, view: str, since: int) -> Offline:
    """What is published of ``view``, and of what came after publication ``since``.

    Raises:
        ServiceError: the view isn't among it.
    """
    row = connection.execute(
        "SELECT max(load), max(load) FILTER (WHERE %(view)s = ANY(replaced)) FROM features.publications", {"view": view}
    ).fetchone()
    as_of = _as_of(connection)
    if row is None or row[1] is None or as_of is None:
        raise ServiceError(f"{view} is declared but was not published: run `make pipeline`")
    oldest, created = connection.execute(
        "SELECT min(oldest) FILTER (WHERE created IS NULL), min(created) FROM features.loads "
        "WHERE view = %s AND load > %s",
        [view, since],
    ).fetchone() or (None, None)
    return Offline(row[0], row[1], as_of, oldest, created)


def newest(connection: Connection) -> dict[str, datetime]:
    """View -> its newest stamp (UTC); without views that have no rows or weren't published."""
    (books,) = connection.execute("SELECT to_regclass('features.loads')").fetchone() or (None,)
    rows = connection.execute("SELECT view, max(newest) FROM features.loads GROUP BY view").fetchall() if books else []
    return {view: stamp.astimezone(UTC) for view, stamp in rows if stamp}
