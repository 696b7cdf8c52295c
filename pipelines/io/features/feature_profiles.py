"""The rows of item_profile_v1: computed whole each time, for they are few; written where they differ."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import PRODUCT_SCHEMA, UTC_US, Col
from pipelines.core.features.coded_days import DAY_US
from pipelines.core.features.corrections import differing, gone, with_values
from pipelines.core.features.feature_views import VIEWS
from pipelines.core.features.item_profile import item_profile
from pipelines.io.duck import Engine, table
from pipelines.io.features.feature_log import PRODUCTS
from pipelines.io.features.feature_output import Output, Rows
from pipelines.io.features.feature_state import NEVER, State

VIEW: Final = "item_profile_v1"
KEYS: Final = [Col.ITEM_ID, Col.EVENT_TIMESTAMP]
_SORTED: Final = [(Col.ITEM_ID, "ascending"), (Col.EVENT_TIMESTAMP, "ascending")]
FIRST: Final = pa.schema([(Col.ITEM_ID, pa.string()), (Col.TIMESTAMP, UTC_US)])


class Profiles:
    """The profiles as they should be up to a midnight."""

    def __init__(self, root: Path, state: State, until: datetime) -> None:
        """Compute them from the catalogue and the items' first days."""
        engine = Engine("1GB")
        engine.read("products", root / PRODUCTS)
        engine.know("first", _first(state))
        found = item_profile(table("products", PRODUCT_SCHEMA), table("first", FIRST), until)
        ordered = found.order_by(Col.EVENT_TIMESTAMP, Col.ITEM_ID)
        self._state, self._rows = state, engine.run(ordered).cast(VIEWS[VIEW].schema)

    def rows(self) -> Iterator[Rows]:
        """All of them, by date."""
        self._state.profiles = self._rows
        return _by_day(self._rows)

    def corrections(self, output: Output, until: datetime) -> Iterator[Rows]:
        """What must be written of the dates up to ``until``, the end of the build before."""
        written = self._state.profiles
        if written is None:
            dates = (output.read(VIEW, day) for day in output.days(VIEW))
            written = pa.concat_tables([VIEWS[VIEW].schema.empty_table(), *dates])
        lost = gone(self._rows, written, KEYS)
        left = with_values(VIEW, lost, self._before(lost))
        true = pa.concat_tables([self._until(until), left])
        changes = differing(true, written, KEYS)
        self._state.profiles = pa.concat_tables([self._rows, left])
        return _by_day(changes.sort_by([(Col.EVENT_TIMESTAMP, "ascending"), (Col.ITEM_ID, "ascending")]))

    def new(self, until: datetime) -> Iterator[Rows]:
        """The rows of the dates after ``until``."""
        later = pc.greater(self._rows[Col.EVENT_TIMESTAMP], pa.scalar(until, UTC_US))
        return _by_day(self._rows.filter(later))

    def _until(self, until: datetime) -> pa.Table:
        return self._rows.filter(pc.less_equal(self._rows[Col.EVENT_TIMESTAMP], pa.scalar(until, UTC_US)))

    def _before(self, rows: pa.Table) -> pa.Table:
        """For each of ``rows`` the item's newest row before it, null where there is none."""
        earlier = self._rows.select(KEYS).to_pandas().assign(row=np.arange(len(self._rows)))
        asked = rows.select(KEYS).to_pandas().assign(place=np.arange(len(rows))).sort_values(Col.EVENT_TIMESTAMP)
        found = pd.merge_asof(asked, earlier, on=Col.EVENT_TIMESTAMP, by=Col.ITEM_ID, allow_exact_matches=False)
        return self._rows.take(pa.array(found.sort_values("place")["row"], pa.int64(), from_pandas=True))


def _first(state: State) -> pa.Table:
    """The midnight that each item's first event is after."""
    seen = np.flatnonzero(state.first_day != NEVER)
    moments = pa.array(state.first_day[seen].astype(np.int64) * DAY_US).cast(UTC_US)
    return pa.table([state.ids.items.ids.take(pa.array(seen)), moments], FIRST)


def _by_day(rows: pa.Table) -> Iterator[Rows]:
    """Cut rows that are sorted by time at each new date."""
    days = rows[Col.EVENT_TIMESTAMP].cast(pa.int64()).to_numpy() // DAY_US
    cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)] if len(days) else []
    return ((VIEW, int(days[start]), rows.slice(start, end - start).sort_by(_SORTED)) for start, end in pairwise(cuts))
