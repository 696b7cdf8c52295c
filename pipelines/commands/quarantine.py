"""Show which rows are in quarantine and why, or export them for repair."""

import argparse
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.io.intake import lake
from pipelines.io.quality import repairs
from pipelines.io.quality.quarantine import Quarantine, Row, export

log = logging.getLogger(__name__)

FILES: Final = 20
EXAMPLES: Final = 5
WIDEST: Final = 60
"""Characters of a value that an example shows."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare which rows, and where an export goes."""
    parser.add_argument("--reason", help="only rows with this reason")
    parser.add_argument("--file", help="only rows of this file, by its path in the manifest")
    parser.add_argument(
        "--export", type=Path, metavar="FILE.csv", help="write the rows that are not repaired yet, to be edited"
    )


def run(context: Context) -> None:
    """Print the tables, or write the export.

    Raises:
        InputError: nothing was validated yet, or no row has that reason or is of that file.
    """
    args, root = context.args, context.root
    found = Quarantine(root, args.reason, args.file)
    rows, repaired = found.total()
    if not rows and (args.reason or args.file):
        asked = [f"reason {args.reason!r}"] * bool(args.reason) + [f"file {args.file!r}"] * bool(args.file)
        raise InputError(f"no row in quarantine has {' and '.join(asked)}: run it without to see what there is")
    if args.export:
        manifest = lake.Manifest.read(root / lake.CLICKSTREAM)
        written = export(found, set(repairs.repaired(manifest)), args.export)
        log.info("%d rows in %s: edit their columns, then `python -m pipelines replay %s`", written, *[args.export] * 2)
    else:
        _print(_shown(found, rows, repaired))


def _print(lines: Iterable[str]) -> None:
    """Print the command's answer, as much of it as is wanted."""
    try:
        print("\n".join(lines), flush=True)  # noqa: T201
    except BrokenPipeError:  # `| head` has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _shown(found: Quarantine, rows: int, repaired: int) -> Iterable[str]:
    yield f"{rows:,} rows are in quarantine, {repaired:,} of them are repaired"
    if not rows:
        return
    yield from ["", *_table("reason", found.by_reason())]
    by_file = found.by_file()
    yield from ["", *_table("file", by_file[:FILES])]
    if len(by_file) > FILES:
        yield f"{'':>22}and {len(by_file) - FILES} more files"
    yield from ["", "for example"]
    for row in found.examples(EXAMPLES):
        yield from _example(row, found.columns)


def _table(what: str, counts: list[tuple[int, int, str]]) -> Iterable[str]:
    yield f"{'rows':>10}  {'repaired':>8}  {what}"
    for rows, repaired, name in counts:
        yield f"{rows:>10,}  {repaired:>8,}  {name}"


def _example(row: Row, columns: list[str]) -> Iterable[str]:
    yield f"  {row.place[0]}:{row.place[1]}: {'; '.join(row.reasons)}"
    values = [f"{name}={_cut(value)}" for name, value in zip(columns, row.values, strict=True)]
    yield f"      {_cut(row.text, 2 * WIDEST) if row.text else '  '.join(values)}"


def _cut(text: str, width: int = WIDEST) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"
