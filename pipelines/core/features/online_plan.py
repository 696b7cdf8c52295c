"""What a materialization of one view must do, from what was done before and what is published now.

Resumable: a job is written down before it begins and goes on after its last key. Full only where it must be.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""No row is stamped earlier."""
EVERYTHING: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""No online row is stamped later."""


@dataclass(frozen=True)
class Job:
    """Bring a view online up to ``end``, with all that publication ``load`` holds.

    ``full``: every entity; otherwise those with a row stamped from ``stamped`` on, or created from ``created`` on.
    ``forget``: online rows stamped up to then go first. ``last``: keys of the entity that was written last.
    """

    load: int
    end: datetime
    full: bool
    forget: datetime | None = None
    stamped: datetime | None = None
    created: datetime | None = None
    last: tuple[str, ...] | None = None


@dataclass(frozen=True)
class State:
    """What was done for a view: publication and watermark of its last whole materialization, and the job under way.

    ``token`` is also left in the online store: an emptied or foreign one doesn't have it.
    """

    token: str
    load: int = 0
    watermark: datetime | None = None
    job: Job | None = None


@dataclass(frozen=True)
class Offline:
    """What is published of a view: by publication ``load``, its table made by publication ``made``.

    ``oldest`` and ``created``: of the files that came since the view's last materialization, the first stamp of
    new rows and the first creation of corrections; None where there are none.
    """

    load: int
    made: int
    as_of: datetime
    oldest: datetime | None = None
    created: datetime | None = None


def plan(state: State | None, offline: Offline, token: str | None, now: datetime, full: bool = False) -> Job | None:
    """The next job; None where the online store holds everything. ``token`` is what the online store has.

    The end is ``as_of`` of what is published and never later than ``now``. A view goes back only by beginning anew.
    """
    end = min(offline.as_of, now)
    if state is None or token != state.token:
        return Job(offline.load, end, full=True, forget=EVERYTHING if token else None)
    resumed = state.job
    if resumed and resumed.load >= offline.made and (resumed.full or not full):
        return resumed
    done = state.watermark
    if done is None:
        return Job(offline.load, end, full=True)
    if end < done:
        return Job(offline.load, end, full=True, forget=EVERYTHING)
    if offline.made > state.load:  # live rows, stamped later than the watermark, stay
        return Job(offline.load, end, full=True, forget=done)
    if full:
        return Job(offline.load, end, full=True)
    if (offline.load, end) == (state.load, done):
        return None
    after = done + timedelta(microseconds=1)
    return Job(offline.load, end, full=False, stamped=min(after, offline.oldest or after), created=offline.created)
