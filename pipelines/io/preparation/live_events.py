"""Live events made ready as `prepare` does: what was sent twice goes, bots are marked, the catalogue fills in.

The rules are those of the batch. Only users with as many looks as a bot, or with two equal ones, cost a query.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from pipelines.core.columns import BROWSING, EVENT_SCHEMA, UTC_US, Col
from pipelines.core.errors import InputError
from pipelines.core.lake import flags, repeats
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io.duck import Engine
from pipelines.io.intake import lake
from pipelines.io.intake.records import blocks
from pipelines.io.preparation import preparer_tables as t
from pipelines.io.quality.assessor import GOOD, IS_CANCELLATION, Assessor
from pipelines.params import Prepare

PRODUCTS: Final = Path("data/validated/products.parquet")
SHOWN: Final = 5
"""Bad rows that are named."""
Mask = np.ndarray[Any, np.dtype[np.bool_]]
NEEDED: Final = (
    Col.EVENT_ID, Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE, Col.TIMESTAMP, Col.QUANTITY, Col.PRICE,
)  # fmt: skip


def read(root: Path, path: Path) -> tuple[pa.Table, int]:
    """The events of a file in the layout of the shop's log, and how many cancellations are in it, too.

    Raises:
        InputError: the file can't be read, or a row of it is no event; the text names the line and the reason.
    """
    if not (root / lake.MAPPING).exists():
        raise InputError(f"{lake.MAPPING} is missing: run `python -m pipelines ingest`")
    mapping = SourceMapping.parse(yaml.safe_load((root / lake.MAPPING).read_text(encoding="utf-8")), str(lake.MAPPING))
    if not path.is_file():
        raise InputError(f"{path} is no file")
    known = pq.read_table(root / PRODUCTS, columns=[Col.ITEM_ID]) if mapping.catalogue.origin == "api" else None
    assess = Assessor(mapping, known)
    now = pa.scalar(datetime.now(UTC), UTC_US)
    assessed = [assess(block, 0, now) for block in blocks(path, mapping)]
    bad = [row for part in assessed for row in part.bad.select(["line", "reasons"]).to_pylist()]
    if bad:
        named = "; ".join(f"line {row['line']}: {', '.join(row['reasons'])}" for row in bad[:SHOWN])
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise InputError(f"{path}: {len(bad)} rows are bad, nothing was pushed: {named}{more}")
    names = [*NEEDED, IS_CANCELLATION]
    good = pa.concat_tables([GOOD.empty_table().select(names), *(part.good.select(names) for part in assessed)])
    events = good.filter(pc.invert(good[IS_CANCELLATION])).drop_columns([IS_CANCELLATION])
    return events, len(good) - len(events)


def canonical(events: pa.Table) -> pa.Table:
    """The columns of ``events`` that features read, each event once, in order of time and event id.

    Raises:
        InputError: a column is missing or has another type, or a value is missing.
    """
    schema = pa.schema([EVENT_SCHEMA.field(name) for name in NEEDED])
    if missing := [name for name in NEEDED if name not in events.column_names]:
        raise InputError(f"live events have no column {missing[0]}: see the canonical event in data/README.md")
    try:
        events = events.select(NEEDED).cast(schema)
    except (pa.ArrowInvalid, ValueError) as error:
        raise InputError(f"live events are not canonical: {str(error).splitlines()[0]}") from None
    events = events.sort_by([(Col.TIMESTAMP, "ascending"), (Col.EVENT_ID, "ascending")])
    first: dict[str, int] = {}
    for place, event_id in enumerate(events[Col.EVENT_ID].to_pylist()):
        first.setdefault(event_id, place)
    return events if len(first) == len(events) else events.take(pa.array(first.values(), pa.int64()))


def prepared(events: pa.Table, profiles: pa.Table, params: Prepare) -> pa.Table:
    """``canonical`` events with category and is_bot, and prices where the catalogue has one, less what came twice.

    ``profiles``: the newest row of item_profile_v1 of the events' items; nothing is known of an item without one.
    """
    place = pc.index_in(events[Col.ITEM_ID], profiles[Col.ITEM_ID].combine_chunks())
    price = pc.coalesce(events[Col.PRICE], profiles[Col.PRICE].take(place))
    bots, again = _marks(events, params)
    rows = events.set_column(events.schema.get_field_index(Col.PRICE), Col.PRICE, price)
    rows = rows.append_column(Col.CATEGORY, profiles[Col.CATEGORY].take(place))
    rows = rows.append_column(Col.IS_BOT, pa.array(bots))
    return rows.filter(pa.array(~again)) if again.any() else rows


def _marks(events: pa.Table, params: Prepare) -> tuple[Mask, Mask]:
    """bool [events]: those of a user's day as a bot, and those that were sent twice."""
    bots, again = np.zeros(len(events), bool), np.zeros(len(events), bool)
    looks = pc.is_in(events[Col.EVENT_TYPE], pa.array(BROWSING)).to_numpy(zero_copy_only=False)
    user, item = (_codes(events[name]) for name in (Col.USER_ID, Col.ITEM_ID))
    microseconds = events[Col.TIMESTAMP].cast(pa.int64()).to_numpy()
    second = microseconds // 1_000_000
    least = min(params.bots.a_day + 1, params.bots.a_minute + 1, params.bots.hours)
    busy = _shared(least, user[looks], second[looks] // repeats.DAY)
    twice = params.repeat_seconds and _shared(2, user[looks], item[looks], second[looks] // params.repeat_seconds)
    if not (busy or twice):
        return bots, again
    engine = Engine("256MB", threads=1)
    columns = {name: events[name] for name in t.ROWS.columns if name in events.column_names}
    columns |= {Col.USER_ID: pa.array(user), Col.ITEM_ID: pa.array(item)}
    columns |= {"second": pa.array(second), "n": pa.array(np.arange(len(events)))}
    for name in ("piece", "likely", "looks"):
        engine.know(name, pa.table(columns))
    # an event that isn't on a whole minute shows that the day's times know seconds
    fine = np.unique(second[microseconds % 60_000_000 != 0] // repeats.DAY)
    engine.know("fine", pa.table({"day": pa.array(fine, pa.int64())}))
    if busy:
        engine.keep("bots", flags.bots(t.LOOKS, **params.bots.model_dump()))
        bots[engine.run(flags.of_bots(t.ROWS, t.BOTS))["n"].to_numpy()] = True
    if twice:
        again[engine.run(repeats.repeats(t.LIKELY, t.FINE, params.repeat_seconds))["n"].to_numpy()] = True
    return bots, again


def _shared(least: int, *columns: np.ndarray[Any, Any]) -> bool:
    """Whether some ``least`` rows are equal in all columns."""
    if len(columns[0]) < least:
        return False
    return bool(np.unique(np.stack(columns), axis=1, return_counts=True)[1].max() >= least)


def _codes(ids: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    codes: np.ndarray[Any, Any] = ids.combine_chunks().dictionary_encode().indices.to_numpy()
    return codes
