"""Events with sessions, flags, encodings, and price and category as of their time; the full catalogue; plots."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from pipelines.context import Context
from pipelines.core.columns import PREPARED_SCHEMA, PRODUCT_SCHEMA, TAKEN_BACK_SCHEMA, Col
from pipelines.core.errors import InputError
from pipelines.core.features import horizon
from pipelines.core.features.digests import DayDigests
from pipelines.io import duck, files, tables
from pipelines.io.intake import lake
from pipelines.io.parallel import ahead
from pipelines.io.preparation import exploring
from pipelines.io.preparation.preparer import Preparer
from pipelines.io.quality import pieces

log = logging.getLogger(__name__)

VALIDATED: Final = Path("data/validated")
SUMMARY: Final = Path("data/reports/validation/summary.json")
INTERACTIONS: Final = Path("data/processed/prepared_interactions.parquet")
TAKEN_BACK: Final = Path("data/processed/taken_back.parquet")
PRODUCTS: Final = Path("data/processed/products.parquet")
DAYS: Final = Path("data/processed/days.json")
ENCODINGS: Final = Path("data/processed/encodings.json")
PLOTS: Final = Path("data/processed/eda")
REPORT: Final = Path("data/reports/preparation.json")

READ: Final = [
    Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE, Col.TIMESTAMP, Col.QUANTITY, Col.PRICE, Col.CATEGORY, Col.IS_BOT,
]  # fmt: skip
"""What ``features`` reads of an interaction: a day is another one where these differ, or the order of its events."""
READ_BACK: Final = [name for name in TAKEN_BACK_SCHEMA.names if name != Col.EVENT_ID]

PIECE: Final = 1_000_000
"""Events in memory at a time, about. What comes out doesn't depend on it."""


def run(context: Context) -> None:
    """Read ``data/validated``; write ``data/processed`` and ``data/reports/preparation.json``.

    Raises:
        InputError: nothing has been validated.
    """
    started = time.monotonic()
    root, params = context.root, context.params
    days = _days(root)
    lake.sweep(root / INTERACTIONS.parent)
    before = _as_of(root, days) - timedelta(days=params.split.window_days)
    engine = duck.Engine("1GB")
    preparer = Preparer(engine, root / VALIDATED, days, params.prepare, PIECE)
    encodings, highest = preparer.fit(before)
    netting = preparer.net()
    prepared = ahead(preparer.interactions(encodings, highest, netting.purchases))
    interactions, taken_back = DayDigests(Col.TIMESTAMP, READ), DayDigests(Col.CANCELLED_AT, READ_BACK)
    rows = tables.write(root / INTERACTIONS, interactions.through(prepared), PREPARED_SCHEMA)
    pieces = preparer.taken_back(netting.pieces)
    tables.write(root / TAKEN_BACK, taken_back.through([pieces]), TAKEN_BACK_SCHEMA)
    days_json = {"interactions": interactions.digests(), "taken_back": taken_back.digests()}
    files.write_json(root / DAYS, days_json | {"erased": files.read_json(root / SUMMARY).get("erased", {})})
    states = tables.write(root / PRODUCTS, [preparer.catalogue()], PRODUCT_SCHEMA)
    files.write_json(root / ENCODINGS, encodings.to_json())
    files.write_json(root / REPORT, _report(preparer, netting.counts, before, highest))
    exploring.draw(engine, root / INTERACTIONS, root / PRODUCTS, rows, root / PLOTS)
    log.info("%d interactions, %d states of products, %.1f s", rows, states, time.monotonic() - started)


def _days(root: Path) -> list[pieces.Day]:
    days = pieces.days(root / VALIDATED / "events")
    needed = [SUMMARY, *(VALIDATED / name for name in ("products.parquet", "cancellations.parquet"))]
    for path in needed:
        if not (root / path).exists():
            raise InputError(f"{path} is missing: run `python -m pipelines validate`")
    if not days:
        raise InputError(f"{VALIDATED / 'events'} holds no events: run `python -m pipelines validate`")
    return days


def _as_of(root: Path, days: Sequence[pieces.Day]) -> datetime:
    """What ``features`` will be as of, at the earliest: the clock here is the newest file's arrival."""
    last = pq.read_table(days[-1].path, columns=[Col.TIMESTAMP])[Col.TIMESTAMP][-1].as_py()
    return horizon.as_of(last, tables.utc(files.read_json(root / SUMMARY)["newest_arrival"]))


def _report(preparer: Preparer, cancellations: dict[str, int], before: datetime, highest: float) -> dict[str, Any]:
    return {
        **preparer.counts,
        "cancellations": cancellations,
        "fitted_before": before.isoformat(),
        "highest_usual_quantity": highest if highest < float("inf") else None,
    }
