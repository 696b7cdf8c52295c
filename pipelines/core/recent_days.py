"""The table of recent days: what each user did with each item on each of the last 30 days, net of cancellations."""

import pyarrow as pa

from pipelines.core.timeline_state import State


def table(state: State) -> pa.Table:
    """RECENT_DAYS of a state, but keys are dictionaries; sorted by user, item, category and day."""
    raise NotImplementedError
