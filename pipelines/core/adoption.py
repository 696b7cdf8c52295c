"""Let a timeline take over what another one knows of some users and items."""

from pipelines.core.day_events import Int32
from pipelines.core.timeline_state import State


def adopt(state: State, other: State, users: Int32, items: Int32) -> None:
    """See Timeline.adopt."""
    raise NotImplementedError
