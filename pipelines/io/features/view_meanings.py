"""What the code makes of the reference log now: the rows of every feature view, and their meaning."""

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import Col
from pipelines.core.features import reference_log
from pipelines.core.features.change_points import Timeline
from pipelines.core.features.coded_days import DAY_US, CodedRows, Ids, taken_back
from pipelines.core.features.day_events import TakenBack
from pipelines.core.features.feature_views import VIEWS
from pipelines.core.features.item_profile import item_profile
from pipelines.core.features.meanings import meaning


def meanings() -> dict[str, dict[str, str]]:
    """View -> digests of its rows of the reference log (core/features/meanings.py)."""
    return {view: meaning(view, rows) for view, rows in rows().items()}


def rows() -> dict[str, pa.Table]:
    """View -> its rows of the reference log."""
    parts: dict[str, list[pa.Table]] = {view: [VIEWS[view].schema.empty_table()] for view in VIEWS}
    for view, table in _activity():
        parts[view].append(table.cast(VIEWS[view].schema))
    parts["item_profile_v1"].append(_profiles().cast(VIEWS["item_profile_v1"].schema))
    return {view: pa.concat_tables(tables) for view, tables in parts.items()}


def _activity() -> list[tuple[str, pa.Table]]:
    ids = Ids()
    events = CodedRows.of(reference_log.events(), ids)
    back = {day.day: day for day in taken_back(reference_log.taken_back(), ids)}
    days = events.time // DAY_US
    timeline = Timeline(ids.users, ids.items, ids.categories)
    found: list[tuple[str, pa.Table]] = []
    for day in range(int(days[0]), int(reference_log.UNTIL.timestamp() * 1_000_000) // DAY_US):
        inside = slice(*np.searchsorted(days, [day, day + 1]))
        found += timeline.step(events[inside].events(day), back.get(day, TakenBack.empty(day))).items()
    return found


def _profiles() -> pa.Table:
    events = reference_log.events()
    events = ibis.memtable(events.filter(pc.invert(events[Col.IS_BOT])))
    return item_profile(ibis.memtable(reference_log.products()), events, reference_log.UNTIL).to_pyarrow()
