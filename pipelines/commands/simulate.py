"""Write a simulated shop: clickstream files, a catalogue, and what they hold."""

import argparse
import gzip
import logging
import re
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from pipelines.context import Context
from pipelines.core.errors import ConfigError
from pipelines.core.simulation.log import Shop
from pipelines.io import files
from pipelines.io.progress import progress

log = logging.getLogger(__name__)

OURS: Final = re.compile(r"clickstream-[0-9-]+\.csv(\.gz)?")
"""Names of the files that this command writes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the size of the shop, its seed, its last day and where it goes."""
    parser.add_argument("--users", type=_positive, default=2500, help="users (default %(default)s)")
    parser.add_argument("--items", type=_positive, default=1200, help="items (default %(default)s)")
    parser.add_argument("--days", type=_positive, default=90, help="days of log (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="same seed and end, same files (default %(default)s)")
    parser.add_argument("--end", type=date.fromisoformat, help="last day, YYYY-MM-DD (default: yesterday, UTC)")
    parser.add_argument("--gzip", action="store_true", help="write .csv.gz")
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="folder (default %(default)s)")


def run(context: Context) -> None:
    """Write ``clickstream/``, ``catalogue.json`` and ``simulation.json`` under ``--out``.

    Raises:
        ConfigError: ``--out`` holds a clickstream folder that this command didn't write.
    """
    args, started = context.args, time.monotonic()
    out = context.root / args.out
    end = args.end or datetime.now(UTC).date() - timedelta(days=1)
    shop = Shop(args.users, args.items, args.days, args.seed, end)
    _refuse_foreign(out / "clickstream")
    (out / "simulation.json").unlink(missing_ok=True)  # it comes last: where it is, all that it describes is whole
    with files.replacing(out / "clickstream") as folder:
        folder.mkdir()
        for day, content in progress(shop.files(), "simulated days", args.days):
            if args.gzip:
                (folder / f"clickstream-{day}.csv.gz").write_bytes(gzip.compress(content, compresslevel=1, mtime=0))
            else:
                (folder / f"clickstream-{day}.csv").write_bytes(content)
    files.write_json(out / "catalogue.json", shop.products)
    files.write_json(out / "simulation.json", describe(shop, args.gzip))
    seconds = time.monotonic() - started
    log.info("%s: %d events and %d dirty rows, %.1f s", args.out, shop.counts["events"], _dirty(shop), seconds)


def describe(shop: Shop, gzipped: bool) -> dict[str, object]:
    """The shop's parameters and what its log holds; ``gzip`` only where it is."""
    parameters = {"users": shop.n_users, "items": shop.n_items, "days": shop.days, "seed": shop.seed}
    parameters |= {"gzip": True} if gzipped else {}
    out_of_stock = sum(not product["in_stock"] for product in shop.products)
    return {
        "simulated": True,
        "parameters": parameters | {"end": shop.end.isoformat()},
        "counts": shop.counts | {"dirty_rows": _dirty(shop), "items_out_of_stock": out_of_stock},
    }


def _dirty(shop: Shop) -> int:
    return sum(shop.counts["dirty"].values())


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _refuse_foreign(folder: Path) -> None:
    """Never replace a folder that holds anything but simulated files."""
    foreign = [path.name for path in folder.glob("*") if not OURS.fullmatch(path.name)]
    if foreign:
        raise ConfigError(f"{folder} holds {foreign[0]}, which was not simulated: choose another --out")
