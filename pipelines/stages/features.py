"""Compute the change points of user, item and user-item activity and of item profiles, as Parquet by date."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.context import Context
from pipelines.core import features
from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.io import duck
from pipelines.io.files import replacing

log = logging.getLogger(__name__)

ROW_GROUP = 131_072


def run(context: Context) -> None:
    """Write ``data/features/<view>/date=…/part-0.parquet`` for every view, whole or not at all.

    Raises:
        InputError: nothing has been prepared, or no day of it is complete.
    """
    started = time.monotonic()
    processed = context.root / "data/processed"
    for name in ("prepared_interactions.parquet", "products.parquet"):
        if not (processed / name).exists():
            raise InputError(f"{processed / name} is missing: run `python -m pipelines prepare`")
    engine = duck.connect("1GB")
    prepared = engine.read_parquet(processed / "prepared_interactions.parquet")
    events = prepared.filter(~prepared[Col.IS_BOT])
    products = engine.read_parquet(processed / "products.parquet")
    until = _until(events, datetime.now(UTC))
    with replacing(context.root / "data/features") as folder:
        for view, table in features.views(events, products, until).items():
            rows = _write(table, features.KEYS[view], folder / view)
            log.debug("%s: %d rows", view, rows)
    log.info("%d views up to %s in %.1f s", len(features.KEYS), until.date(), time.monotonic() - started)


def _until(events: Any, now: datetime) -> datetime:
    first, last = (
        events.aggregate(a=events[Col.TIMESTAMP].min(), b=events[Col.TIMESTAMP].max())
        .to_pyarrow()
        .to_pylist()[0]
        .values()
    )
    if last is None:
        raise InputError("no events: data/processed/prepared_interactions.parquet is empty")
    until = features.as_of(last, now)
    if first >= until:
        raise InputError(
            f"no complete day of events before {until:%Y-%m-%d} (UTC): run again tomorrow, or connect older data"
        )
    return until


def _write(table: Any, keys: tuple[str, ...], folder: Path) -> int:
    """Write ``table`` by date, sorted by time and keys; return its rows. Memory holds one row group at a time."""
    folder.mkdir(parents=True)
    whole = folder / "whole.parquet"
    table.order_by(Col.EVENT_TIMESTAMP, *keys).to_parquet(whole)
    rows = 0
    with pq.ParquetFile(whole) as file, ExitStack() as files:
        writer, day = None, None
        for date, chunk in _by_day(file):
            if date != day or writer is None:
                files.close()
                path = folder / f"date={date}" / "part-0.parquet"
                path.parent.mkdir()
                writer = files.enter_context(pq.ParquetWriter(path, chunk.schema, compression="zstd"))
                day = date
            writer.write_table(chunk)
            rows += chunk.num_rows
    whole.unlink()
    return rows


def _by_day(file: pq.ParquetFile) -> Iterator[tuple[str, pa.Table]]:
    """Cut a file that is sorted by time into (date, rows): at each new date, and after each ROW_GROUP rows of a date.

    The cuts depend on the rows only, not on how the engine grouped them: the same rows give the same bytes.
    """
    rest = _nullable(file.schema_arrow).empty_table()
    for batch in file.iter_batches(ROW_GROUP):
        rest = pa.concat_tables([rest, pa.Table.from_batches([batch]).cast(rest.schema)])
        *full, rest = _cuts(rest)
        yield from ((_date(chunk), chunk) for chunk in full)
    if rest.num_rows:
        yield _date(rest), rest


def _cuts(table: pa.Table) -> list[pa.Table]:
    """Consecutive slices of ``table``, each of one date and at most ROW_GROUP rows."""
    days = pc.cast(table[Col.EVENT_TIMESTAMP], pa.date32()).combine_chunks()
    runs = pc.run_end_encode(days).run_ends.to_pylist()
    starts = [0, *runs[:-1]]
    return [
        table.slice(at, min(ROW_GROUP, end - at)).combine_chunks()
        for start, end in zip(starts, runs, strict=True)
        for at in range(start, end, ROW_GROUP)
    ]


def _date(table: pa.Table) -> str:
    return str(table[Col.EVENT_TIMESTAMP][0].as_py().date())


def _nullable(schema: pa.Schema) -> pa.Schema:
    """``schema`` without the engine's guesses of what is never null, and without metadata."""
    return pa.schema([pa.field(f.name, f.type) for f in schema])
