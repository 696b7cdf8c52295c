"""What a feature build writes: files by date, each with the next free number."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipelines.core.columns import UTC_US, Col
from pipelines.core.features.affected import Affected, of_keys
from pipelines.core.features.corrections import Latest, differing, gone
from pipelines.core.features.feature_views import VIEWS
from pipelines.io.features import feature_files
from pipelines.io.features.feature_files import Entry
from pipelines.io.parallel import ordered

Rows = tuple[str, int, pa.Table]
"""A view, the day (since 1970) of a date, and rows of the view that are stamped with the date."""
EPOCH = date(1970, 1, 1)


class Output:
    """The files of all views in a folder; new ones are noted as they are written."""

    def __init__(self, folder: Path, known: Mapping[str, Mapping[str, Entry]]) -> None:
        """Go on from the files that are ``known``."""
        self.folder = folder
        self.files: dict[str, dict[str, Entry]] = {view: dict(known.get(view, {})) for view in VIEWS}
        self.rows = 0
        self._parts: dict[tuple[str, int], list[str]] = defaultdict(list)
        for view, parts in self.files.items():
            (folder / view).mkdir(parents=True, exist_ok=True)
            for part in parts:
                self._parts[view, _day(part)].append(part)

    def write(self, tables: Iterable[Rows], created: datetime | None = None) -> None:
        """Write ``tables``, each to a file of its own, on all processors; ``created`` is the time of corrections."""
        for view, part, entry in ordered(self._tasks(tables, created), 2 * len(VIEWS)):  # while the next day is made
            self.files[view][part] = entry
            self.rows += entry["rows"]

    def days(self, view: str) -> list[int]:
        """The days whose dates have files."""
        return sorted(day for of, day in self._parts if of == view)

    def read(self, view: str, day: int, keys: Mapping[str, pa.Array] | None = None) -> pa.Table:
        """What is true of a date, as far as it is written."""
        parts = self._parts.get((view, day))
        empty = VIEWS[view].schema.empty_table()
        return feature_files.read(self.folder / view, view, parts, keys=keys) if parts else empty

    def _tasks(self, tables: Iterable[Rows], created: datetime | None) -> Iterator[partial[tuple[str, str, Entry]]]:
        for view, day, rows in tables:
            if len(rows):
                yield partial(self._write, view, self._name(view, day, created is not None), rows, created)

    def _name(self, view: str, day: int, correction: bool) -> str:
        parts = self._parts[view, day]
        number = max((feature_files.place(part)[1] for part in parts), default=0 if correction else -1) + 1
        parts.append(f"date={EPOCH + timedelta(days=day)}/part-{number}.parquet")
        return parts[-1]

    def _write(self, view: str, part: str, rows: pa.Table, created: datetime | None) -> tuple[str, str, Entry]:
        if created is not None:
            place = rows.column_names.index(Col.CREATED_TIMESTAMP)
            stamps = pa.repeat(pa.scalar(created, UTC_US), len(rows))
            rows = rows.set_column(place, Col.CREATED_TIMESTAMP, stamps)
        return view, part, feature_files.write(self.folder, view, part, rows, created)


class Repair:
    """Rows as they should be beside rows as they are written, date by date."""

    def __init__(self, output: Output, affected: Affected) -> None:
        self._output, self._affected = output, affected
        self._views = {view: affected.keys(view) for view in VIEWS if view != "item_profile_v1"}
        self._latest = {view: Latest(view) for view in self._views}
        written = {day for view in self._views for day in output.days(view)}
        self._waiting = sorted((day for day in written if day > affected.since), reverse=True)

    def see(self, day: int, tables: Mapping[str, pa.Table]) -> Iterator[Rows]:
        """Yield what must be written up to the date ``day``, whose rows should be ``tables``. Dates come in order."""
        yield from self.end(day - 1)
        if self._waiting and self._waiting[-1] == day:
            self._waiting.pop()
        for view, keys in self._views.items():
            new = of_keys(tables[view], keys).cast(VIEWS[view].schema)
            if day > self._affected.since:
                yield view, day, self._differing(view, day, new)
            self._latest[view].add(new)

    def end(self, day: int) -> Iterator[Rows]:
        """Yield what must be written of the dates up to ``day`` that should have no more rows."""
        while self._waiting and self._waiting[-1] <= day:
            date_ = self._waiting.pop()
            for view in self._views:
                yield view, date_, self._differing(view, date_, VIEWS[view].schema.empty_table())

    def _differing(self, view: str, day: int, new: pa.Table) -> pa.Table:
        keys = VIEWS[view].keys
        old = self._output.read(view, day, self._views[view])
        if len(lost := gone(new, old, keys)):
            rows = pa.concat_tables([new, self._latest[view].instead_of(lost)])
            new = rows.sort_by([(key, "ascending") for key in keys])
        return differing(new, old, keys)


def stamp(moment: datetime) -> int:
    """The day (since 1970) of the date that a moment is on."""
    return (moment.astimezone(UTC).date() - EPOCH).days


def midnight(day: int) -> datetime:
    """The moment a day begins."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)


def _day(part: str) -> int:
    return (date.fromisoformat(feature_files.place(part)[0]) - EPOCH).days
