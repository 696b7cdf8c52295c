"""The change points of all views of activity, day by day: the rows stamped with each midnight.

A row stamped t holds the events of days before t, a window of w days those of [t - w, t). An entity has a row where
something changes: after a day with events or cancellations, and when a day with events leaves a window.
Windows are running sums: a day's sums are added when it is over and subtracted w days later. What is taken back of a
purchase is subtracted from the spans that hold the purchase's day, and added again when that day leaves them: so it
counts only beside the purchase. A pair of user and item is within a window while the day of its last event is.

A day costs what happened on it and on the days that leave windows then, however long the history is.

Memory: 100 bytes for each pair of user and item that ever was, 110 for each user and category, 270 a user, 150 an item
and about 100 for each pair with events on each of the last 30 days; at most as much again to grow into.
Users are independent of each other, and sums and distinct users of items add up over them: a log that is too long for
one machine can be cut by users, with the rows of items added up afterwards.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from pipelines.core.features import adoption, published_rows, recent_days
from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import DayEvents, Int32, TakenBack
from pipelines.core.features.day_step import DayStep
from pipelines.core.features.entities import ITEM, Entities
from pipelines.core.features.timeline_state import State


class Timeline:
    """Everything that the views of activity need to know of the past at one midnight.

    The codes are those of the events that come; they may grow between steps.
    """

    def __init__(self, users: Codes, items: Codes, categories: Codes) -> None:
        self._state = State(Entities(users, items, categories))
        self._kinds: tuple[str, ...] = (*published_rows.OF_USERS, ITEM)

    @property
    def users(self) -> Codes:
        """The codes of users."""
        return self._state.entities.users

    @property
    def items(self) -> Codes:
        """The codes of items."""
        return self._state.entities.items

    @property
    def categories(self) -> Codes:
        """The codes of categories."""
        return self._state.entities.categories

    @property
    def day(self) -> int | None:
        """The day that comes next, in days since 1970; None before the first."""
        return self._state.day

    def step(self, events: DayEvents, taken_back: TakenBack) -> dict[str, pa.Table]:
        """Move over one day and return the rows stamped with the midnight after it: view -> rows, sorted by keys.

        Every view but item_profile_v1 is there, maybe without rows; types are those of feature_views.VIEWS, but keys
        are dictionary arrays. created_timestamp equals event_timestamp.

        Raises:
            InputError: what is taken back was never bought.
            ValueError: the days don't follow on each other.
        """
        if events.day != taken_back.day or self.day not in (None, events.day):
            raise ValueError(f"day {self.day} comes next, not events of {events.day}, taken back {taken_back.day}")
        return DayStep(self._state, events, taken_back).run(self._kinds)

    def advance(self, day: int) -> Iterator[dict[str, pa.Table]]:
        """Step over empty days until ``day`` is the next one; the rows of each midnight until nothing changes more.

        Raises:
            ValueError: ``day`` is over.
        """
        if self.day is not None and self.day > day:
            raise ValueError(f"day {day} is over: {self.day} comes next")
        while self._state.days and self.day is not None and self.day < day:
            yield self.step(DayEvents.empty(self.day), TakenBack.empty(self.day))
        self._state.day = day

    def recent_days(self) -> pa.Table:
        """The net daily sums of the last 30 days (feature_views.RECENT_DAYS), sorted by user, item, category, day."""
        return recent_days.table(self._state)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that ``restore`` needs besides the codes; not to be changed, and valid until the next step."""
        return self._state.arrays()

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], users: Codes, items: Codes, categories: Codes) -> "Timeline":
        """The timeline that gave ``arrays``. It takes them over and writes into those that can be written to."""
        timeline = cls(users, items, categories)
        timeline._state = State.of_arrays(arrays, users, items, categories)
        return timeline

    def adopt(self, other: "Timeline", users: Int32, items: Int32) -> None:
        """Take over what ``other`` knows of these users and items (codes).

        ``other`` is at the same midnight, has the same Codes objects, and saw all events and cancellations of these
        users and of these items. Whatever it hasn't seen of these users is forgotten.
        """
        adoption.adopt(self._state, other._state, users, items)

    @classmethod
    def of_rows(cls, rows: Mapping[str, pa.Table], recent: pa.Table, until: int) -> "Timeline":
        """A timeline of a few users from their newest published rows up to the midnight ``until`` (days since 1970).

        ``rows``: both versions of user_activity and (of all items) user_item_activity, user_category_activity_v1 and
        user_recent_items_v1, one row a key; ``recent``: their RECENT_DAYS at ``until``. Its steps give these views
        only; its codes are its own (``timeline.users`` …).
        """
        timeline = cls(Codes(), Codes(), Codes())
        timeline._kinds = published_rows.OF_USERS
        timeline._state = published_rows.state(rows, recent, until)
        return timeline
