"""What is in quarantine: counts, examples, and an export that can be edited and replayed."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow.parquet as pq

from pipelines.core.errors import InputError
from pipelines.io import files

EVENTS: Final = Path("data/quarantine/events.parquet")
GIVEN: Final = ("file", "line", "reasons", "text", "repaired_in")
"""Columns that validate adds; the log's own follow, with an underscore behind names that are taken."""
EXPORTED: Final = ("_file", "_line", "_reasons", "_text")
LONGEST_TEXT: Final = 10_000
"""Characters of a broken line that an export shows."""

Place = tuple[str, int]
"""File and line of a row."""


@dataclass(frozen=True)
class Row:
    """A quarantined row; ``values`` are the log's own columns as they came, the empty string where there is none."""

    place: Place
    reasons: list[str]
    text: str
    values: tuple[str, ...]


class Quarantine:
    """The quarantine of the last validation, restricted to a reason, a file or both."""

    def __init__(self, root: Path, reason: str | None = None, file: str | None = None) -> None:
        """Open it.

        Raises:
            InputError: nothing was validated yet.
        """
        path = root / EVENTS
        if not path.exists():
            raise InputError(f"{EVENTS} is missing: nothing was validated yet, run `make pipeline`")
        names = pq.read_schema(path).names[len(GIVEN) :]
        self.columns = [_own(name) for name in names]
        """The log's own columns."""
        self._from = "FROM read_parquet($path) WHERE ($reason IS NULL OR list_contains(reasons, $reason))"
        self._from += " AND ($file IS NULL OR file = $file)"
        self._given = {"path": str(path), "reason": reason, "file": file}

    def total(self) -> tuple[int, int]:
        """(rows, those of them that were repaired)."""
        ((rows, repaired),) = self._query(f"SELECT count(*), count(repaired_in) {self._from}").fetchall()
        return rows, repaired

    def by_reason(self) -> list[tuple[int, int, str]]:
        """(rows, repaired, reason), the most frequent first; a row counts for each of its reasons."""
        return self._counts(f"SELECT repaired_in, unnest(reasons) AS what {self._from}")

    def by_file(self) -> list[tuple[int, int, str]]:
        """(rows, repaired, file), the one with most rows first."""
        return self._counts(f"SELECT repaired_in, file AS what {self._from}")

    def _counts(self, rows: str) -> list[tuple[int, int, str]]:
        counts = f"SELECT count(*) AS n, count(repaired_in), what FROM ({rows}) GROUP BY what ORDER BY n DESC, what"
        found: list[tuple[int, int, str]] = self._query(counts).fetchall()
        return found

    def examples(self, most: int) -> list[Row]:
        """A row of each of the most frequent reasons, the first of its kind by file and line that is not repaired."""
        ranked = f"""
            SELECT r.*, row_number() OVER (PARTITION BY reasons[1] ORDER BY file, line) AS nth,
                   count(*) OVER (PARTITION BY reasons[1]) AS n
            FROM (SELECT * {self._from} AND repaired_in IS NULL) AS r
        """
        chosen = f"SELECT * EXCLUDE (nth, n) FROM ({ranked}) WHERE nth = 1 ORDER BY n DESC, file, line LIMIT {most}"
        return list(_rows(self._query(chosen)))

    def rows(self) -> Iterator[Row]:
        """Every row by file and line."""
        return _rows(self._query(f"SELECT * {self._from} ORDER BY file, line"))

    def _query(self, sql: str) -> Any:
        return duckdb.connect().execute(sql, self._given)


def _own(name: str) -> str:
    return name[:-1] if name.endswith("_") and name[:-1].lower() in GIVEN else name


def _rows(result: Any) -> Iterator[Row]:
    while some := result.fetchmany(10_000):
        for file, line, reasons, text, _, *values in some:
            shown = (text or "")[:LONGEST_TEXT]
            yield Row((file, line), reasons, shown, tuple("" if value is None else value for value in values))


def export(found: Quarantine, leave_out: set[Place], path: Path) -> int:
    """Write the rows as CSV (UTF-8, comma) with ``_file,_line,_reasons,_text`` before their own columns.

    Rows at the places to ``leave_out`` stay out. Returns how many rows were written.
    """
    count = 0
    with files.replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*EXPORTED, *found.columns])
        for row in found.rows():
            if row.place not in leave_out:
                writer.writerow([*row.place, "; ".join(row.reasons), row.text, *row.values])
                count += 1
    return count
