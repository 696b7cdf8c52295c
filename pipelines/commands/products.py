"""Show the catalogue as it was known at a moment, or an item's whole history."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as csv

from pipelines.context import Context
from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.lake.product_history import as_of
from pipelines.io import duck, files, tables

PRODUCTS: Final = Path("data/validated/products.parquet")
SHOWN: Final = (Col.ITEM_ID, Col.TITLE, Col.PRICE, Col.CATEGORY, "in_stock", "valid_from")
LINES: Final = 40
"""How many states are printed where nobody asked for certain items."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the moment, the items and the file."""
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--at", type=_moment, metavar="ISO", help="the moment, UTC where it names no zone (default: now)")
    when.add_argument("--history", action="store_true", help="every state of the items of --item instead")
    parser.add_argument("--item", nargs="+", metavar="ID", default=[], help="these items only")
    parser.add_argument("--out", type=Path, metavar="F.csv", help="write a CSV file instead of printing")


def _moment(text: str) -> datetime:
    try:
        return tables.utc(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-02-03 or 2026-02-03T12:00+01:00") from None


def run(context: Context) -> None:
    """Print or write the states, by item and time.

    Raises:
        InputError: nothing has been validated, or the catalogue doesn't know an item at that time.
    """
    args = context.args
    if not (context.root / PRODUCTS).exists():
        raise InputError(f"{PRODUCTS} is missing: run `python -m pipelines validate`")
    if args.history and not args.item:
        raise InputError("--history needs the item: name it with --item")
    moment = None if args.history else args.at or datetime.now(UTC)
    states = _states(context.root / PRODUCTS, moment, args.item)
    if args.out:
        with files.replacing(context.root / args.out) as temporary:
            csv.write_csv(_with_iso(states), temporary)
        sys.stdout.write(f"{len(states)} states written to {args.out}\n")
    else:
        _print(states, len(states) if args.item else LINES)


def _states(path: Path, moment: datetime | None, items: list[str]) -> pa.Table:
    """The states as of ``moment``, or all where it is None.

    Raises:
        InputError: an item has none.
    """
    every = duck.connect(memory="1GB").read_parquet(str(path)).select(*SHOWN)
    asked = every.filter(every[Col.ITEM_ID].isin(items)) if items else every
    found = asked.order_by(Col.ITEM_ID, "valid_from") if moment is None else as_of(asked, moment)
    states = pa.concat_tables(
        [found.schema().to_pyarrow().empty_table(), *tables.batches(found, found.schema().to_pyarrow())]
    )
    missing = sorted(set(items) - set(states[Col.ITEM_ID].to_pylist()))
    if missing:
        raise InputError(_unknown(asked, missing, moment))
    return states


def _unknown(asked: Any, missing: list[str], moment: datetime | None) -> str:
    """Why the first of the missing items isn't shown."""
    item = missing[0]
    first = asked.filter(asked[Col.ITEM_ID] == item).valid_from.min().execute()
    if moment is None or first is None or first != first:  # NaT
        return f"the catalogue has no item {item!r}: see {PRODUCTS} for those it has"
    return f"item {item!r} was not known at {_iso(moment)}: its first state is of {_iso(first.to_pydatetime())}"


def _print(states: pa.Table, lines: int) -> None:
    rows = [SHOWN, *(tuple(map(_cell, row.values())) for row in states.slice(0, lines).to_pylist())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
    if len(states) > lines:
        sys.stdout.write(f"and {len(states) - lines} more: --item shows certain ones, --out writes all\n")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    return "-" if value is None else _iso(value) if isinstance(value, datetime) else str(value)


def _with_iso(states: pa.Table) -> pa.Table:
    """``states`` with times as text in ISO 8601, as every tool reads it."""
    times = pa.array([_iso(time) for time in states["valid_from"].to_pylist()], pa.string())
    return states.set_column(states.schema.get_field_index("valid_from"), "valid_from", times)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
