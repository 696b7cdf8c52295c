"""Check a sample of feature values against a count event by event, and the online store against the offline one.

Exit code 1 where more rows than --max-mismatch have a wrong value; the first of them are in data/reports/audit.md.
The rates by view and feature go to MLflow, experiment `audit`. Nothing is changed. To run it every night after the
pipeline: `make pipeline && python -m pipelines audit --seed $(date +%j)`, another sample each day.
"""

import argparse
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pipelines.context import Context
from pipelines.core.errors import DataQualityError, InputError
from pipelines.core.features import audit
from pipelines.core.features.audit import Tally
from pipelines.io import postgres, receipts
from pipelines.io.features import audit_report, auditing, feast_store
from pipelines.io.features.audit_log import Log
from pipelines.io.files import read_json

log = logging.getLogger(__name__)

PAIRS: Final = 20_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the size of the sample and what may be wrong with it."""
    parser.add_argument(
        "--pairs", type=_count, default=PAIRS, help="entities and moments asked for (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=7, help="another seed, another sample (default: %(default)s)")
    parser.add_argument(
        "--max-mismatch", type=float, default=0.0, metavar="SHARE",
        help="share of rows, offline or online, that may have a wrong value (default: %(default)s)",
    )  # fmt: skip


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pairs")
    return int(text)


def run(context: Context) -> None:
    """Sample, count, compare; write the report and record it.

    Raises:
        InputError: nothing was published yet, or the log that it was made from isn't there.
        DataQualityError: too many rows have a wrong value.
        ServiceError: a server doesn't answer.
    """
    started, args = time.monotonic(), context.args
    receipt = context.root / receipts.PUBLISHED
    if not receipt.exists():
        raise InputError(f"{receipt} is missing: nothing was published yet, run `make pipeline`")
    as_of = datetime.fromisoformat(read_json(receipt)["as_of"])
    lake, store = Log(context.root), feast_store.open_store(context.settings)
    pairs = auditing.sample(lake, args.pairs, args.seed, as_of)
    expected = auditing.expected(lake, pairs, as_of)
    with postgres.connect(context.settings) as connection:
        stores = {
            "offline": auditing.offline(store, pairs, expected),
            "online": auditing.online(store, connection, pairs),
        }
    facts = {"as_of": as_of.isoformat(), "pairs": len(pairs), "seed": args.seed, "max_mismatch": args.max_mismatch}
    audit_report.write(context.root, stores, facts)
    audit_report.log_run(context.settings.mlflow_tracking_uri, context.root, stores, facts)
    log.info("%s, %.1f s", "; ".join(_says(name, t) for name, t in stores.items()), time.monotonic() - started)
    _judge(stores, args.max_mismatch)


def _judge(stores: audit_report.Tallies, most: float) -> None:
    for name, tallies in stores.items():
        if (share := audit.rate(tallies.values())) > most:
            raise DataQualityError(
                f"{share:.4%} of the rows of the {name} store have a wrong value, more than {most:.4%}: "
                f"see {audit_report.REPORT}"
            )


def _says(name: str, tallies: Mapping[str, Tally]) -> str:
    rows, wrong, left_out = (sum(getattr(t, n) for t in tallies.values()) for n in ("compared", "wrong", "left_out"))
    pushed = f" ({left_out} pushed live since left out)" if left_out else ""
    return f"{name}: {wrong} of {rows} rows wrong{pushed}"
