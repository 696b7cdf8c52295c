"""The prepared interactions, up to what the published features know."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.models.interactions import known
from pipelines.io.files import read_json
from pipelines.io.receipts import PUBLISHED

INTERACTIONS: Final = Path("data/processed/prepared_interactions.parquet")
FEATURES: Final = Path("data/features")
COLUMNS: Final = [Col.EVENT_ID, Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE, Col.TIMESTAMP, Col.CANCELLED_AT]


def published(root: Path, service: str) -> tuple[datetime, pa.Table]:
    """(as_of of the published features, the events before it in the order of time, without what models don't read).

    ``service`` must be among the published feature services. Events of bots are left out. A purchase that was cancelled
    later than ``as_of`` isn't cancelled yet.

    Raises:
        InputError: a file is missing, or the published features aren't those of ``data/features``, or are of another
            log than the interactions; the text says what to run.
    """
    as_of = _as_of(root, service)
    path = root / INTERACTIONS
    if not path.exists():
        raise InputError(f"{path} is missing: run `python -m pipelines prepare`")
    events = pq.read_table(path, columns=COLUMNS, filters=[(Col.IS_BOT, "==", False)])
    times = events[Col.TIMESTAMP]
    if not len(events) or not times[0].as_py() < as_of or (times[-1].as_py() - as_of).days >= 1:
        span = f"from {times[0].as_py()} to {times[-1].as_py()}" if len(events) else "empty"
        raise InputError(
            f"{path} is {span}, but the published features end at {as_of}: "
            "run `python -m pipelines features`, then `publish`"
        )
    return as_of, known(events, as_of)


def _as_of(root: Path, service: str) -> datetime:
    path = root / PUBLISHED
    if not path.exists():
        raise InputError(f"{path} is missing: run `python -m pipelines publish`")
    receipt: dict[str, Any] = read_json(path)
    if service not in (published := receipt["feature_services"]):
        raise InputError(
            f"{path}: {', '.join(published)} are published, but params.yaml (ranker.feature_service) names {service}"
        )
    for view, table in receipt["tables"].items():
        newest = max((p.name for p in (root / FEATURES / view).glob("date=*")), default="date=")
        until = (table["max_event_timestamp"] or "")[:10]  # null: a view without rows
        if newest.removeprefix("date=") != until:
            raise InputError(
                f"{path}: {view} was published up to {until or 'nothing'}, but {root / FEATURES / view} "
                f"ends with {newest}: run `python -m pipelines publish`"
            )
    return datetime.fromisoformat(receipt["as_of"])
