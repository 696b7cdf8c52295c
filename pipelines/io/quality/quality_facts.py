"""What the data-quality report tells, gathered from the lake as numbers and texts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from pipelines.core.columns import Col
from pipelines.core.lake import plain_words
from pipelines.core.lake.glossary import meaning
from pipelines.io import files
from pipelines.io.tables import utc

HISTORY: Final = Path("data/cache/quality")
QUARANTINE: Final = Path("data/quarantine")
PRODUCTS: Final = Path("data/validated/products.parquet")
COUNTS: Final = ("rows", "good", "quarantined", "duplicates")
SHOWN: Final = 6
"""Reasons that samples are shown of."""
SAMPLES: Final = 2
WORST: Final = 8
LONGEST: Final = 40
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Sample:
    """A bad row: where it stands and what it says."""

    reason: str
    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Catalogue:
    """The newest state of the products, and the refused entries by reason."""

    items: int
    in_stock: int
    without_price: int
    without_category: int
    bad: Mapping[str, int]


@dataclass(frozen=True)
class Facts:
    """Everything that the report shows.

    ``changes`` has a row for each count that differs from the last run that was different: name, before, after.
    ``by_day`` is lake day (YYYY-MM-DD) → rows and quarantined rows of the files of that day.
    """

    summary: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]
    changes: Sequence[tuple[str, int, int]] | None
    samples: Sequence[Sample]
    catalogue: Catalogue
    by_day: Mapping[str, tuple[int, int]]

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """Results whose failure stops the run."""
        return [result for result in self.results if not result["success"] and result["severity"] == "stop"]

    @property
    def warnings(self) -> list[Mapping[str, Any]]:
        """Failed results that are only told."""
        return [result for result in self.results if not result["success"] and result["severity"] == "warn"]

    @property
    def verdict(self) -> str:
        """The whole report in one sentence."""
        return plain_words.verdict(self.summary, len(self.failed), len(self.warnings))

    @property
    def state(self) -> str:
        """The verdict as one of passed, warned, failed."""
        return "failed" if self.failed else "warned" if self.warnings else "passed"

    @property
    def arrived(self) -> str:
        """When the newest file came, for people."""
        return f"{utc(self.summary['newest_arrival']):%Y-%m-%d %H:%M} UTC"

    @property
    def scope(self) -> str:
        """What was read."""
        days, files_read = list(self.summary["days"]), len(self.summary["files"])
        read = f"{files_read:,} {'file' if files_read == 1 else 'files'}, the newest arrived {self.arrived}."
        return f"{read} Events from {min(days)} to {max(days)}." if days else read

    @property
    def catalogue_words(self) -> str:
        """The catalogue's state in sentences."""
        return plain_words.catalogue(*astuple(self.catalogue))

    @property
    def newest_day(self) -> list[plain_words.Measure]:
        """How fresh the data are, and how the newest day compares with the week before it."""
        return [plain_words.measure(result) for result in self.results if result["suite"] == "newest day"]

    @property
    def suites(self) -> list[tuple[str, int, int, int]]:
        """Suite, expectations that passed, that failed, that couldn't be judged."""
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for result in self.results:
            counts[result["suite"]][2 if "not_judged" in result["result"] else 0 if result["success"] else 1] += 1
        return [(suite, passed, failed, skipped) for suite, (passed, failed, skipped) in counts.items()]

    @property
    def worst_files(self) -> list[tuple[str, Mapping[str, int]]]:
        """The files with most bad rows, path and counts."""
        bad = [(path, counts) for path, counts in self.summary["files"].items() if counts["quarantined"]]
        return sorted(bad, key=lambda pair: (-pair[1]["quarantined"], pair[0]))[:WORST]

    @property
    def glossary(self) -> list[tuple[str, str, str]]:
        """Each reason that occurs, what it means, what to do."""
        return [(reason, *meaning(reason)) for reason in self.summary["reasons"]]


def gather(root: Path, summary: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Facts:
    """Read what the report needs beside ``summary`` and ``results``; remembers ``summary`` for the next report."""
    by_day: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for path, counts in sorted(summary["files"].items()):
        day = "-".join(path.split("/")[:3])
        by_day[day] = (by_day[day][0] + counts["rows"], by_day[day][1] + counts["quarantined"])
    with duckdb.connect() as con:
        con.execute("SET memory_limit = '500MB'")
        return Facts(
            summary=summary,
            results=results,
            changes=_changes(root / HISTORY, summary),
            samples=_samples(con, root / QUARANTINE / "events.parquet", list(summary["reasons"])[:SHOWN]),
            catalogue=_catalogue(con, root),
            by_day=dict(by_day),
        )


def _changes(folder: Path, summary: Mapping[str, Any]) -> list[tuple[str, int, int]] | None:
    """What differs from the last run that differs at all, so that a repeated run reports the same; None without one."""
    newest, previous = folder / "newest.json", folder / "previous.json"
    kept = {name: summary[name] for name in ("source", "files", "reasons", *COUNTS)}
    if not newest.exists():
        files.write_json(newest, kept)
    elif (last := files.read_json(newest)) != kept:
        files.write_json(previous, last)
        files.write_json(newest, kept)
    if not previous.exists() or (before := files.read_json(previous))["source"] != summary["source"]:
        return None
    names = {"files": (len(before["files"]), len(kept["files"]))} | {n: (before[n], kept[n]) for n in COUNTS}
    for reason in sorted(before["reasons"] | kept["reasons"]):
        names[reason] = (before["reasons"].get(reason, 0), kept["reasons"].get(reason, 0))
    return [(name, old, new) for name, (old, new) in names.items() if old != new]


def _samples(con: duckdb.DuckDBPyConnection, path: Path, reasons: Sequence[str]) -> list[Sample]:
    """The first rows of each reason that nobody has repaired."""
    found = []
    query = f"SELECT * FROM read_parquet(?) WHERE repaired_in IS NULL AND list_contains(reasons, ?) LIMIT {SAMPLES}"
    for reason in reasons:
        done = con.execute(query, [str(path), reason])
        names = [column[0] for column in done.description]
        for row in done.fetchall():
            values = dict(zip(names, row, strict=True))
            found.append(Sample(reason, values["file"], values["line"], _shown(values)))
    return found


def _shown(row: dict[str, Any]) -> str:
    """The line as it came, or the row's values by column."""
    if row.get("text") is not None:
        return _cut(row["text"], 4 * LONGEST)
    own = {name: value for name, value in row.items() if name not in ("file", "line", "reasons", "text", "repaired_in")}
    return ", ".join(f"{name}={'' if value is None else _cut(str(value), LONGEST)}" for name, value in own.items())


def _cut(text: str, longest: int) -> str:
    """Text without unprintable characters, and not longer than ``longest``."""
    printable = "".join(character if character.isprintable() else "\ufffd" for character in text[: longest + 1])
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


def _catalogue(con: duckdb.DuckDBPyConnection, root: Path) -> Catalogue:
    newest = (
        "SELECT count(*), count(*) FILTER (in_stock), count(*) FILTER (price IS NULL), "
        "count(*) FILTER (category IS NULL) FROM (SELECT * FROM read_parquet(?) "
        f"QUALIFY row_number() OVER (PARTITION BY {Col.ITEM_ID} ORDER BY valid_from DESC) = 1)"
    )
    counts = con.execute(newest, [str(root / PRODUCTS)]).fetchall()[0]
    refused = (
        "SELECT reason, count(*) AS entries FROM (SELECT unnest(reasons) AS reason FROM read_parquet(?)) "
        "GROUP BY reason ORDER BY entries DESC, reason"
    )
    items, in_stock, priceless, uncategorized = counts
    return Catalogue(
        items,
        in_stock,
        priceless,
        uncategorized,
        dict(con.execute(refused, [str(root / QUARANTINE / "products.parquet")]).fetchall()),
    )
