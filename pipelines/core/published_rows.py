"""The state of a timeline of a few users, from rows that were published."""

from collections.abc import Mapping

import pyarrow as pa

from pipelines.core.timeline_state import State


def state(rows: Mapping[str, pa.Table], recent_days: pa.Table, until: int) -> State:
    """See Timeline.of_rows."""
    raise NotImplementedError
