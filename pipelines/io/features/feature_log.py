"""The prepared interactions day by day, only those that are asked for."""

import sys
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.features import coded_days
from pipelines.core.features.coded_days import DAY_US, CodedRows, Ids
from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import TakenBack
from pipelines.core.features.fingerprints import LogDay, fingerprint
from pipelines.core.features.horizon import as_of
from pipelines.io.files import read_json

PROCESSED: Final = Path("data/processed")
INTERACTIONS: Final = PROCESSED / "prepared_interactions.parquet"
TAKEN_BACK: Final = PROCESSED / "taken_back.parquet"
PRODUCTS: Final = PROCESSED / "products.parquet"
DAYS: Final = PROCESSED / "days.json"

IDS: Final = [Col.USER_ID, Col.ITEM_ID, Col.CATEGORY]
COLUMNS: Final = [*IDS, Col.EVENT_TYPE, Col.TIMESTAMP, Col.IS_BOT, Col.QUANTITY, Col.PRICE]


class Log:
    """The log that ``prepare`` left."""

    def __init__(self, root: Path) -> None:
        """Open it; only the files' footers are read.

        Raises:
            InputError: a file is missing.
        """
        for path in (INTERACTIONS, TAKEN_BACK, PRODUCTS, DAYS):
            if not (root / path).exists():
                raise InputError(f"{root / path} is missing: run `python -m pipelines prepare`")
        self._root = root
        self._file = pq.ParquetFile(root / INTERACTIONS, read_dictionary=[*IDS, Col.EVENT_TYPE])
        self._spans = [self._span(group) for group in range(self._file.num_row_groups)]

    @property
    def rows(self) -> int:
        """How many interactions there are."""
        return int(self._file.metadata.num_rows)

    def until(self, now: datetime) -> datetime:
        """The newest midnight (UTC) whose features are final.

        Raises:
            InputError: there are no events, or none on a day that is over.
        """
        last = self._first_person(reversed(range(self._file.num_row_groups)), last=True)
        if last is None:
            raise InputError(f"no events: {INTERACTIONS} is empty")
        until = as_of(last, now)
        first = self._first_person(range(self._file.num_row_groups), last=False)
        if first is not None and first >= until:
            raise InputError(
                f"no complete day of events before {until:%Y-%m-%d} (UTC): run again tomorrow, or connect older data"
            )
        return until

    def digests(self) -> dict[str, str]:
        """Date (ISO) -> digest of its events and cancellations."""
        days = read_json(self._root / DAYS)
        parts = [days["interactions"], days["taken_back"]]
        return {date: "+".join(part.get(date, "") for part in parts) for date in sorted(parts[0] | parts[1])}

    def erased(self) -> tuple[int, str]:
        """(number of the last erasure that the log is without, digest of what is left out because of them)."""
        erased = read_json(self._root / DAYS).get("erased", {})
        return erased.get("until", 0), erased.get("digest", "")

    def ids(self) -> Ids:
        """Codes of all users, items and categories of the log, in the order of the ids."""
        found: dict[str, list[pa.Array]] = {name: [pa.array([], pa.string())] for name in IDS}
        for group in range(self._file.num_row_groups):
            rows = self._file.read_row_group(group, IDS)
            for name in IDS:
                found[name] += [chunk.dictionary for chunk in rows[name].chunks]
        sorted_ = (pa.chunked_array(found[name]).unique().sort() for name in IDS)
        return Ids(*(Codes(ids) for ids in sorted_))

    def days(self, ids: Ids, end: int, wanted: Collection[int] | None = None) -> Iterator[LogDay]:
        """The days before ``end`` (days since 1970) on which something happened, in order; only ``wanted`` ones."""
        back = {day.day: day for day in self._taken_back(ids, end, wanted)}
        for day, rows in self._events(ids, end, wanted):
            for other in sorted(d for d in back if d < day):
                yield _day(other, None, back.pop(other))
            yield _day(day, rows, back.pop(day, None))
        for other in sorted(back):
            yield _day(other, None, back[other])

    def _taken_back(self, ids: Ids, end: int, wanted: Collection[int] | None) -> list[TakenBack]:
        rows = pq.read_table(self._root / TAKEN_BACK)
        days = rows[Col.CANCELLED_AT].cast(pa.int64()).to_numpy() // DAY_US
        return coded_days.taken_back(rows.filter(pa.array(_asked(days, end, wanted))), ids)

    def _events(self, ids: Ids, end: int, wanted: Collection[int] | None) -> Iterator[tuple[int, CodedRows]]:
        """(day, its events)."""
        waiting: list[CodedRows] = []  # of one day, which the next row group may go on with
        for rows in self._groups(ids, end, wanted):
            cuts = np.flatnonzero(np.diff(rows.time // DAY_US)) + 1
            for part in (rows[slice(*cut)] for cut in zip([0, *cuts], [*cuts, len(rows)], strict=True)):
                if waiting and _date(waiting[0]) != _date(part):
                    yield _date(waiting[0]), CodedRows.concat(waiting)
                    waiting = []
                waiting.append(part)
        if waiting:
            yield _date(waiting[0]), CodedRows.concat(waiting)

    def _groups(self, ids: Ids, end: int, wanted: Collection[int] | None) -> Iterator[CodedRows]:
        """The wanted events of each row group that may have some."""
        for group, (first, last) in enumerate(self._spans):
            if first < end and (wanted is None or any(first <= day <= last for day in wanted)):
                rows = self._file.read_row_group(group, COLUMNS)
                if wanted is not None or last >= end:
                    days = rows[Col.TIMESTAMP].cast(pa.int64()).to_numpy() // DAY_US
                    rows = rows.filter(pa.array(_asked(days, end, wanted)))
                coded = CodedRows.of(rows, ids)
                if len(coded):
                    yield coded

    def _span(self, group: int) -> tuple[int, int]:
        """The first and the last day that a row group may have events of."""
        place = self._file.schema_arrow.get_field_index(Col.TIMESTAMP)
        found = self._file.metadata.row_group(group).column(place).statistics
        if found is None or not found.has_min_max:
            return -sys.maxsize, sys.maxsize
        moments = pa.array([found.min, found.max], pa.timestamp("us", "UTC")).cast(pa.int64())
        first, last = (moment // DAY_US for moment in moments.to_pylist())
        return first, last

    def _first_person(self, groups: Any, last: bool) -> datetime | None:
        """The time of the first or the last event that is no bot's, in ``groups`` in that order."""
        for group in groups:
            rows = self._file.read_row_group(group, [Col.TIMESTAMP, Col.IS_BOT])
            people = rows[Col.TIMESTAMP].filter(pc.invert(rows[Col.IS_BOT]))
            if len(people):
                moment: datetime = people[-1 if last else 0].as_py()
                return moment
        return None


def _asked(days: np.ndarray, end: int, wanted: Collection[int] | None) -> np.ndarray:
    return (days < end) & (True if wanted is None else np.isin(days, list(wanted)))


def _date(rows: CodedRows) -> int:
    return int(rows.time[0] // DAY_US)


def _day(day: int, rows: CodedRows | None, back: TakenBack | None) -> LogDay:
    rows = CodedRows.none() if rows is None else rows
    back = TakenBack.empty(day) if back is None else back
    return LogDay(rows.events(day), back, fingerprint(rows, back))
