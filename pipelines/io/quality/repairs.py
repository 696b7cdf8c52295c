"""Repaired rows of the quarantine: read from an edited export, checked, and entered into the raw lake."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import InputError
from pipelines.io import files
from pipelines.io.intake import copying, lake
from pipelines.io.quality.quarantine import EXPORTED, LONGEST_TEXT, Place, Quarantine

KEYS: Final = ("_file", "_line")
SHOWN: Final = 5
"""Mistakes that an error lists."""


@dataclass(frozen=True)
class Edited:
    """A row of an edited export; ``line`` is its own, ``text`` None where the export has lost that column."""

    line: int
    place: Place
    text: str | None
    values: tuple[str, ...]


@dataclass(frozen=True)
class Repair:
    """A row of a repairs file: where it stands (``path:line``), and its values by column."""

    where: str
    values: dict[str, str]


@dataclass(frozen=True)
class Replayed:
    """What became of the rows of an edited export. ``path``: the new file in the lake; None where there is none."""

    path: str | None
    entered: int
    unchanged: int
    known: int
    """Repairs that the lake has already."""


def replay(root: Path, original: Path, now: datetime) -> Replayed:
    """Enter the changed rows of an edited export as a file of repairs; the caller holds ``lake.alone``.

    Raises:
        InputError: the file or rows of it can't be used; the text names each, or the first ones, by line and column.
            Nothing is entered then.
    """
    quarantined = Quarantine(root)
    edited = _read(original, quarantined.columns)
    changed, mistakes = _compare(original, edited, quarantined)
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM)
    new, closed = _open(original, changed, manifest, quarantined.columns)
    _refuse(mistakes + closed)
    path = _enter(manifest, original, quarantined.columns, new, now) if new else None
    return Replayed(path, len(new), len(edited) - len(changed), len(changed) - len(new))


def _enter(manifest: lake.Manifest, original: Path, columns: list[str], rows: list[Edited], now: datetime) -> str:
    """Write a file of repairs and its entry; returns its path in the lake.

    Raises:
        InputError: the lake has just this file, but withdrawn.
    """
    with copying.scratch(manifest.path.parent) as copy:
        _write(copy, columns, rows)
        sha256 = files.sha256(copy)
        if there := next((entry["path"] for entry in manifest.files if entry["sha256"] == sha256), None):
            raise InputError(f"these repairs were withdrawn: `python -m pipelines withdraw --undo {there}`")
        arrived = copying.Copied(original.with_suffix(".csv"), copy, sha256, copy.stat().st_size, len(rows), time_ns=0)
        entry = lake.add_file(manifest, arrived, now, stem=lake.REPAIRS, **{lake.REPAIRS: True})
        manifest.write()
    return str(entry["path"])


def repaired(manifest: lake.Manifest) -> dict[Place, Repair]:
    """The place of each row that an active file of repairs stands for, with its repair."""
    found: dict[Place, Repair] = {}
    for entry in manifest.active():
        if entry.get(lake.REPAIRS):
            found |= read(manifest, entry)
    return found


def read(manifest: lake.Manifest, entry: dict[str, Any]) -> dict[Place, Repair]:
    """The repairs of one file, by the places of the rows that they stand for."""
    name = entry["path"]
    with (manifest.path.parent / name).open(encoding="utf-8", newline="") as file:
        lines = _lines(file)
        _, (_, _, *columns) = next(lines)
        return {
            (of, int(number)): Repair(f"{name}:{line}", dict(zip(columns, values, strict=True)))
            for line, (of, number, *values) in lines
        }


def _lines(file: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file, each with the line it begins on; empty lines are passed over."""
    reader = csv.reader(file)
    line = 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1


def _read(path: Path, columns: list[str]) -> list[Edited]:
    """The rows of an edited export.

    Raises:
        InputError: it is no CSV in UTF-8, a column is missing or unknown, or rows don't fit the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = list(_lines(file))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not CSV in UTF-8: {error}") from None
    header = records[0][1] if records else []
    missing = [name for name in (*KEYS, *columns) if name not in header]
    unknown = [name for name in header if name not in (*EXPORTED, *columns) or header.count(name) > 1]
    if missing:
        raise InputError(f"{path}:1: column {missing[0]!r} is missing; it needs {', '.join((*KEYS, *columns))}")
    if unknown:
        raise InputError(f"{path}:1: column {unknown[0]!r} is there twice, or is no column of the log")
    rows, mistakes = [], []
    for line, values in records[1:]:
        named = dict(zip(header, values, strict=False))
        if len(values) != len(header):
            mistakes.append(f"{path}:{line}: {len(values)} fields, but the header has {len(header)} columns")
        elif not (named["_line"].isdecimal() and named["_line"].isascii()):
            mistakes.append(f"{path}:{line}: _line: {named['_line']!r} is not a line number")
        else:
            place = (named["_file"], int(named["_line"]))
            rows.append(Edited(line, place, named.get("_text"), tuple(named[name] for name in columns)))
    _refuse(mistakes)
    return rows


def _compare(path: Path, edited: list[Edited], quarantined: Quarantine) -> tuple[list[Edited], list[str]]:
    """The rows that differ from the quarantine, by their places, and the mistakes in all of them."""
    mistakes: list[str] = []
    waiting: dict[Place, Edited] = {}
    for row in edited:
        if (first := waiting.setdefault(row.place, row)) is not row:
            mistakes.append(f"{path}:{row.line}: _line: the same row is on line {first.line}")
    changed, with_rows = [], set()
    for there in quarantined.rows():
        with_rows.add(there.place[0])
        if there.place not in waiting:
            continue
        row = waiting.pop(there.place)
        if row.text is not None and row.text[:LONGEST_TEXT] != there.text:
            mistakes.append(f"{path}:{row.line}: _text: only shows the line; put its values into the log's own columns")
        elif row.values != there.values:
            changed.append(row)
    for place, row in waiting.items():
        wrong = f"_line: {_named(place)}" if place[0] in with_rows else f"_file: {place[0]!r}"
        mistakes.append(f"{path}:{row.line}: {wrong} is not in quarantine")
    return changed, mistakes


def _open(
    path: Path, changed: list[Edited], manifest: lake.Manifest, columns: list[str]
) -> tuple[list[Edited], list[str]]:
    """The rows that may be repaired, without those that the lake has repaired just so, and the mistakes in others."""
    done, active = repaired(manifest), {entry["path"] for entry in manifest.active()}
    new, mistakes = [], []
    for row in changed:
        repair = done.get(row.place)
        if row.place[0] not in active:
            mistakes.append(f"{path}:{row.line}: _file: {row.place[0]} is withdrawn")
        elif repair is None:
            new.append(row)
        elif tuple(repair.values.get(name, "") for name in columns) != row.values:
            mistakes.append(
                f"{path}:{row.line}: _line: {_named(row.place)} has another repair, {repair.where}: if that one is in "
                "quarantine, repair it there"
            )
    return new, mistakes


def _refuse(mistakes: Sequence[str]) -> None:
    """Raise an error that lists the mistakes, if there are any."""
    if mistakes:
        more = [f"and {len(mistakes) - SHOWN} more"] if len(mistakes) > SHOWN else []
        raise InputError("nothing was entered:\n  " + "\n  ".join([*mistakes[:SHOWN], *more]))


def _named(place: Place) -> str:
    return f"{place[0]}:{place[1]}"


def _write(path: Path, columns: list[str], rows: list[Edited]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer: Any = csv.writer(file, lineterminator="\n")
        writer.writerow([*KEYS, *columns])
        writer.writerows([*row.place, *row.values] for row in rows)
