"""The feature tables of Postgres: they follow the files of the lake, all of them in one transaction."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import Connection, sql

from pipelines.core.columns import Col
from pipelines.core.errors import InputError, ServiceError
from pipelines.core.features.feature_views import RECENT_DAYS, VIEWS
from pipelines.io import files, postgres
from pipelines.io.features import feature_files, publications
from pipelines.io.features.feature_lake import FeatureFile, FeatureLake
from pipelines.io.features.publications import Span

SCHEMA: Final = "features"
RECENT: Final = "recent_days"
BATCH: Final = 65_536


@dataclass(frozen=True)
class Published:
    """What the tables hold: view -> rows, and view -> newest stamp, without views that have none; rows ``added``."""

    added: int
    rows: Mapping[str, int]
    newest: Mapping[str, datetime]


def publish(connection: Connection, lake: FeatureLake) -> Published:
    """Make the tables hold exactly what the files hold, in the connection's transaction: readers see all of it or none.

    New files are appended. A table is replaced whole where a file that is in has gone or changed, its columns are
    others, or it isn't there. Tables that this has loaded and that are no more in the lake are dropped.

    Raises:
        InputError: a file isn't what the manifest says.
        ServiceError: two rows are the same by keys and times, or another object holds on to an old table.
    """
    publications.create(connection)
    try:
        return _publish(connection, lake)
    except (psycopg.errors.UniqueViolation, psycopg.errors.DependentObjectsStillExist) as error:
        raise ServiceError(f"Postgres schema {SCHEMA}: {str(error).strip()}") from None


def _publish(connection: Connection, lake: FeatureLake) -> Published:
    load = publications.next_load(connection)
    whole, added = [], 0
    for view, listed in lake.views.items():
        before = publications.loaded(connection, view)
        if replaced := _must_be_replaced(connection, view, listed, before):
            whole.append(view)
            publications.forget_files(connection, view)
        new = listed if replaced else {name: file for name, file in listed.items() if name not in before}
        spans = (_load_whole if replaced else _append)(connection, lake.folder / view, view, new)
        publications.note_files(connection, load, view, listed, spans)
        added += sum(span.rows for span in spans.values())
    recent = _load_recent_days(connection, lake.folder, load)
    retired = sorted(set(publications.tables(connection)) - lake.views.keys())
    # last: from here on readers wait for the end of the transaction. By name: so the offline store locks what it reads
    for table in sorted([*whole, *recent, *retired]):
        (_drop if table in retired else _swap)(connection, table)
    for table in retired:
        publications.forget_files(connection, table)
    if added or whole or recent or retired or publications.as_of(connection) != lake.until:
        publications.note(connection, load, lake.until, sorted(lake.views), whole)
    return Published(added, publications.rows(connection), publications.newest(connection))


def _must_be_replaced(
    connection: Connection, view: str, listed: Mapping[str, FeatureFile], before: Mapping[str, str]
) -> bool:
    if view not in publications.tables(connection):  # a table of that name is of another origin
        return True
    now = {name: file.sha256 for name, file in listed.items()}
    columns = [(field.name, postgres.TYPES[field.type]) for field in VIEWS[view].schema]
    return not before.items() <= now.items() or postgres.columns_of(connection, SCHEMA, view) != columns


def _append(connection: Connection, folder: Path, view: str, new: Mapping[str, FeatureFile]) -> dict[str, Span]:
    """COPY new files into the view's table; return what each file held."""
    spans: dict[str, Span] = {}
    if new:
        batches = _batches(folder, view, new, spans)
        postgres.copy_in(connection, sql.Identifier(SCHEMA, view), batches, freeze=False)
    return spans


def _load_whole(connection: Connection, folder: Path, view: str, listed: Mapping[str, FeatureFile]) -> dict[str, Span]:
    """COPY all files into ``<view>__new`` with its indexes; return what each file held.

    The rows lie by date, so a block range index finds what is new without looking at the rest.
    """
    spans: dict[str, Span] = {}
    stamp, created = Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP
    _create(connection, view, _required(view), _batches(folder, view, listed, spans))
    _index(connection, view, [*VIEWS[view].keys, f"{stamp} DESC", f"{created} DESC"])
    connection.execute(
        sql.SQL("CREATE INDEX {} ON {} USING brin ({}, {}) WITH (pages_per_range = 16, autosummarize = on)").format(
            sql.Identifier(f"{view}__new_times"), _new(view), sql.Identifier(stamp), sql.Identifier(created)
        )
    )
    return spans


def _required(view: str) -> pa.Schema:
    """The columns of the view's table: without null in keys and times, the join can follow the index alone."""
    needed = (*VIEWS[view].keys, Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP)
    return pa.schema([field.with_nullable(field.name not in needed) for field in VIEWS[view].schema])


def _batches(
    folder: Path, view: str, listed: Mapping[str, FeatureFile], spans: dict[str, Span]
) -> Iterator[pa.RecordBatch]:
    """The rows of the files one after another; notes in ``spans`` what each file held once it is through."""
    for name, file in listed.items():
        path = folder / name
        if not path.exists() or files.sha256(path) != file.sha256:
            raise InputError(f"{path} isn't the file that the manifest lists: run `python -m pipelines features`")
        with pq.ParquetFile(path) as parquet:
            if parquet.schema_arrow != VIEWS[view].schema:
                raise InputError(f"{path} has not the columns of its view: run `python -m pipelines features`")
            stamps: list[datetime] = []
            for batch in parquet.iter_batches(BATCH):
                stamps += pc.min_max(batch[Col.EVENT_TIMESTAMP]).as_py().values()
                yield batch
            spans[name] = Span(parquet.metadata.num_rows, min(stamps, default=None), max(stamps, default=None))


def _load_recent_days(connection: Connection, folder: Path, load: int) -> list[str]:
    """Load the days' sums where they are others than those that are in; return what is to be swapped in."""
    path = folder / feature_files.RECENT
    if not path.exists():
        raise InputError(f"{path} is missing: run `python -m pipelines features`")
    sha256 = files.sha256(path)
    if publications.loaded(connection, RECENT).get(path.name) == sha256 and _exists(connection, RECENT):
        return []
    with pq.ParquetFile(path) as parquet:
        rows = parquet.metadata.num_rows
        _create(connection, RECENT, RECENT_DAYS, parquet.iter_batches(BATCH))
    _index(connection, RECENT, [Col.USER_ID, Col.ITEM_ID, "day", Col.CATEGORY])
    publications.forget_files(connection, RECENT)
    publications.note_files(
        connection, load, RECENT, {path.name: FeatureFile(rows, sha256, None)}, {path.name: Span(rows)}
    )
    return [RECENT]


def _exists(connection: Connection, table: str) -> bool:
    return bool(postgres.columns_of(connection, SCHEMA, table))


def _new(table: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, f"{table}__new")


def _create(connection: Connection, table: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Make and fill ``<table>__new``."""
    postgres.create_table(connection, _new(table), schema)
    postgres.copy_in(connection, _new(table), batches, freeze=True)


def _index(connection: Connection, table: str, terms: Sequence[str]) -> None:
    """Give ``<table>__new`` its unique index, over ``terms`` of SQL, and let the planner know the table."""
    name = sql.Identifier(f"{table}__new_key")
    columns = sql.SQL(", ").join(map(sql.SQL, terms))
    connection.execute(sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(name, _new(table), columns))
    connection.execute(sql.SQL("ANALYZE {}").format(_new(table)))


def _swap(connection: Connection, table: str) -> None:
    """Let ``<table>__new`` take the place of ``table``, indexes included."""
    indexes = connection.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = %s", [SCHEMA, f"{table}__new"]
    ).fetchall()
    _drop(connection, table)
    for kind, name in (("TABLE", f"{table}__new"), *(("INDEX", str(index)) for (index,) in indexes)):
        plain = sql.Identifier(name.replace("__new", ""))
        connection.execute(
            sql.SQL("ALTER {} {} RENAME TO {}").format(sql.SQL(kind), sql.Identifier(SCHEMA, name), plain)
        )


def _drop(connection: Connection, table: str) -> None:
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(SCHEMA, table)))
