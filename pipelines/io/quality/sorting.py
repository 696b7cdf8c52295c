"""Sort the rows of a raw log into good ones by day, refused ones and repetitions, in bounded memory.

Two passes. By file: read, assess (on all processors), and stage the good rows by day and the refused ones as they
came. By day: leave out what repeats an earlier event id, sort by time, write.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA, UTC_US, Col
from pipelines.core.lake.mapping import Format, SourceMapping
from pipelines.io import tables
from pipelines.io.intake import lake, records
from pipelines.io.intake.record_tables import Block
from pipelines.io.parallel import ordered
from pipelines.io.progress import counting
from pipelines.io.quality.assessor import BAD, IS_CANCELLATION, LINES, PLACE, SHOWN, Assessed, Assessor
from pipelines.io.quality.staging import Days, EventIds, FileBatches

DAY_ROWS: Final = 4_000_000
"""Most rows of a day that are in memory at a time."""
AGAIN: Final = pa.schema([(PLACE, pa.int64()), (Col.EVENT_ID, pa.string())])
DUPLICATES: Final = pa.schema([("file", pa.string()), ("line", pa.int64()), (Col.EVENT_ID, pa.string())])
LISTED: Final = pa.schema(
    [(Col.ITEM_ID, pa.string()), (Col.TIMESTAMP, UTC_US), ("file", pa.int64()), ("line", pa.int64()), *SHOWN]
)
"""What the log shows of its items, for a catalogue that is derived from it."""


@dataclass
class Counts:
    """What became of the rows; arrays are by file."""

    rows: NDArray[np.int64]
    quarantined: NDArray[np.int64]
    duplicates: NDArray[np.int64]
    reasons: NDArray[np.int64]
    days: dict[str, int] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    """Of the good events of a day, those that the service took."""
    cancellations: int = 0
    repaired: int = 0
    """Of the quarantined rows, those that a good row of a repairs file stands for."""
    erased: int = 0
    """Rows of erased users, which are none of the others."""

    @property
    def events(self) -> int:
        """Good events."""
        return sum(self.days.values())


class Sorter:
    """One validation of a raw log: ``read`` first, then ``write_days`` and the rest in any order.

    Args:
        raw: the folder of the raw files.
        entries: their manifest entries; of rows with one event id the first in this order is kept.
        staged: a folder for intermediate files; the caller removes it.
    """

    def __init__(self, raw: Path, entries: list[dict[str, Any]], assessor: Assessor, staged: Path) -> None:
        self._raw, self._entries, self._assessor, self._staged = raw, entries, assessor, staged
        self._live = assessor.live()
        self._good, self._bad = Days(staged / "good"), FileBatches(staged / "bad")
        n = len(entries)
        self._live_files = np.array([lake.LIVE in entry for entry in entries], bool)
        self.counts = Counts(_zeros(n), _zeros(n), _zeros(n), _zeros(len(assessor.reasons)))
        self._repeated = self._gone = np.array([], np.int64)
        self._repairs: dict[tuple[str, int], int] = {}
        self._refused_repairs: set[int] = set()

    def read(self, mapping: SourceMapping) -> None:
        """Read and assess every file.

        Raises:
            DataQualityError: a file lacks a column; the text names both.
            InputError: a file can't be read.
        """
        expected = sum(int(entry["rows"]) for entry in self._entries)
        ids = EventIds(self._staged / "ids", expected)
        with counting("rows checked", expected) as advance:
            for file, assessed in ordered(self._blocks(mapping)):
                self._good.add(file, assessed.good)
                if len(assessed.bad):
                    self._bad.add(file, assessed.bad)
                ids.add(assessed.keys)
                self._count(file, assessed)
                advance(assessed.rows)
        self._good.close()
        self._bad.close()
        self._repeated = ids.repeated()
        self._gone = np.union1d(self._repeated, self._superseded())

    def _superseded(self) -> NDArray[np.int64]:
        """The places of rows for which a good repair stands; if one has become good by itself, it would count twice."""
        files = {str(entry["path"]): file for file, entry in enumerate(self._entries)}
        stood_for = [(files[path], line) for path, line in self._repairs if path in files and self._repair(path, line)]
        return np.array([file * LINES + line for file, line in stood_for], np.int64)

    def _blocks(self, mapping: SourceMapping) -> Iterator[Callable[[], tuple[int, Assessed]]]:
        for file, entry in enumerate(self._entries):
            own, assessor = mapping, self._assessor
            if entry.get(lake.REPAIRS):
                own = _of_repairs(mapping)
            elif lake.LIVE in entry:
                own, assessor = mapping.live(), self._live
            arrived = pa.scalar(tables.utc(entry["ingested_at"]), UTC_US)
            for block in records.blocks(self._raw / entry["path"], own):
                yield partial(_assess, assessor, block, file, arrived)

    def _count(self, file: int, assessed: Assessed) -> None:
        self.counts.rows[file] += assessed.rows
        self.counts.erased += assessed.erased
        self.counts.quarantined[file] += len(assessed.bad)
        names = (self._live if lake.LIVE in self._entries[file] else self._assessor).reasons
        for name, rows in zip(names, assessed.reasons.tolist(), strict=True):
            if rows:
                self.counts.reasons[self._assessor.reasons.index(name)] += rows
        for target, line, own, good in assessed.repairs:
            self._repairs[target, line] = file * LINES + own
            if not good:
                self._refused_repairs.add(file * LINES + own)

    def write_days(self, events: Path) -> None:
        """Write the good events to ``events/date=YYYY-MM-DD/part-0.parquet``, in order of time and event id."""
        for name in ("again", "cancelled", "listed"):
            (self._staged / name).mkdir()
        days = self._good.days()
        with counting("days written", len(days)) as advance:
            for day, count, aside in ordered(partial(self._write_day, events, day) for day in days):
                if count:
                    self.counts.days[str(_date(day))] = count
                    self.counts.live |= {str(_date(day)): aside["live"]} if aside["live"] else {}
                self.counts.cancellations += aside["cancelled"]
                self.counts.duplicates += aside["again"]
                advance(1)

    def _write_day(self, events: Path, day: int) -> tuple[int, int, dict[str, Any]]:
        """Write a day; returns it, its events, its cancellations, and its repetitions by file."""
        part = events / f"date={_date(day)}" / "part-0.parquet"
        aside: dict[str, list[pa.Table]] = defaultdict(list)
        count = tables.write(part, self._events(day, aside), EVENT_SCHEMA)
        if not count:
            part.unlink()
            part.parent.rmdir()
        for name, schema in (("again", AGAIN), ("cancelled", CANCELLATION_SCHEMA), ("listed", LISTED)):
            if rows := [table.cast(schema) for table in aside[name]]:
                tables.write(self._staged / name / f"{day:06d}.parquet", rows, schema)
        again = np.concatenate([_zeros(0), *(table[PLACE].to_numpy() for table in aside["again"])])
        by_file = np.bincount(again // LINES, minlength=len(self._entries))
        live = sum(table.num_rows for table in aside["live"])
        return day, count, {"cancelled": sum(map(len, aside["cancelled"])), "again": by_file, "live": live}

    def _events(self, day: int, aside: dict[str, list[pa.Table]]) -> Iterator[pa.Table]:
        """The day's events in order; repetitions, cancellations and what the log shows of its items go ``aside``."""
        for rows in self._good.read(day, DAY_ROWS):
            again = _among(self._gone, rows[PLACE].to_numpy())
            if again.any():
                aside["again"].append(rows.filter(pa.array(again)).select(AGAIN.names))
                rows = rows.filter(pa.array(~again))
            rows = rows.combine_chunks().sort_by([(Col.TIMESTAMP, "ascending"), (Col.EVENT_ID, "ascending")])
            cancels = rows[IS_CANCELLATION]
            if pc.any(cancels).as_py():
                aside["cancelled"].append(rows.filter(cancels).select(CANCELLATION_SCHEMA.names))
                rows = rows.filter(pc.invert(cancels))
            if self._live_files.any():
                live = self._live_files[rows[PLACE].to_numpy() // LINES]
                aside["live"].append(rows.filter(pa.array(live)).select([PLACE]))
            if self._assessor.from_log:
                aside["listed"].append(_listed(rows))
            yield rows.select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA)

    def cancellations(self) -> Iterator[pa.Table]:
        """Cancellations in order of time and event id; ``CANCELLATION_SCHEMA``."""
        for path in sorted((self._staged / "cancelled").iterdir()):
            yield pq.read_table(path, schema=CANCELLATION_SCHEMA)

    def listed(self) -> Path:
        """The folder of what the log shows of its items (``LISTED``)."""
        return self._staged / "listed"

    def duplicates(self, con: Any) -> Iterator[pa.Table]:
        """Where each row stands that repeats an earlier event id, by file and line; ``DUPLICATES``."""
        found = sorted((self._staged / "again").iterdir())
        if found:
            rows = con.read_parquet([str(path) for path in found]).order_by(PLACE)
            for table in tables.batches(rows, AGAIN):
                yield pa.table([*self._where(table[PLACE].to_numpy()), table[Col.EVENT_ID]], schema=DUPLICATES)

    def quarantine(self) -> tuple[pa.Schema, Iterator[pa.Table]]:
        """The schema of the refused rows, and they by file and line."""
        own = [self._bad.open(file).schema for file in self._bad.paths]
        columns = pa.unify_schemas([BAD, *own])
        first = [pa.field("file", pa.string()), *BAD, pa.field("repaired_in", pa.string())]
        schema = pa.schema([*first, *(column for column in columns if column.name not in BAD.names)])
        return schema, self._quarantined(schema)

    def _quarantined(self, schema: pa.Schema) -> Iterator[pa.Table]:
        for file in self._bad.paths:
            reader = self._bad.open(file)
            for number in range(reader.num_record_batches):
                rows = pa.Table.from_batches([reader.get_batch(number)])
                name = str(self._entries[file]["path"])
                whole = {
                    "file": pa.repeat(pa.scalar(name), len(rows)),
                    "repaired_in": pa.array([self._repair(name, n) for n in rows["line"].to_pylist()], pa.string()),
                    **{column: rows[column] for column in rows.column_names},
                }
                absent = pa.nulls(len(rows), pa.string())
                self.counts.repaired += len(rows) - whole["repaired_in"].null_count
                yield pa.table([whole.get(column, absent) for column in schema.names], schema=schema)

    def _repair(self, file: str, line: int) -> str | None:
        """Where the good row is that repairs a refused one, if need be by way of a repair that was refused itself."""
        place = self._repairs.get((file, line))
        if place is None or _among(self._repeated, np.array([place])).any():
            return None
        repair = str(self._entries[place // LINES]["path"])
        if place in self._refused_repairs:
            return self._repair(repair, place % LINES)
        return f"{repair}:{place % LINES}"

    def _where(self, place: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        paths = pa.array([str(entry["path"]) for entry in self._entries])
        return paths.take(pa.array(place // LINES)), pa.array(place % LINES)


def _assess(assessor: Assessor, block: Block, file: int, arrived: pa.Scalar) -> tuple[int, Assessed]:
    return file, assessor(block, file, arrived)


def _among(places: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of ``asked`` are in ``places``, which are sorted."""
    return np.asarray(np.append(places, -1)[np.searchsorted(places, asked)] == asked)


def _zeros(n: int) -> NDArray[np.int64]:
    return np.zeros(n, np.int64)


def _of_repairs(mapping: SourceMapping) -> SourceMapping:
    """The mapping of a repairs file: comma and UTF-8 whatever the log has; its numbers are written as the log's."""
    return mapping.model_copy(update={"format": Format(decimal=mapping.format.decimal)})


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)


def _listed(rows: pa.Table) -> pa.Table:
    place = rows[PLACE].to_numpy()
    where = {"file": pa.array(place // LINES), "line": pa.array(place % LINES)}
    return pa.table(
        [where.get(name, rows[name] if name not in where else None) for name in LISTED.names], schema=LISTED
    )
