"""The change points of all views of activity, day by day: the rows stamped with each midnight."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from pipelines.core.codes import Codes, Int32
from pipelines.core.day_events import DayEvents, TakenBack


class Timeline:
    """Everything that the views of activity need to know of the past at one midnight.

    ``users``, ``items``, ``categories`` are the codes of the events that come; they may grow between steps.
    """

    def __init__(self, users: Codes, items: Codes, categories: Codes) -> None:
        self.users, self.items, self.categories = users, items, categories
        self.day: int | None = None

    def step(self, events: DayEvents, taken_back: TakenBack) -> dict[str, pa.Table]:
        """Move over one day and return the rows stamped with the midnight after it: view -> rows, sorted by keys.

        Every view but item_profile_v1 is there, maybe without rows; types are those of feature_views.VIEWS, but keys
        are dictionary arrays of exactly the ids that occur. created_timestamp equals event_timestamp.

        Raises:
            InputError: what is taken back was never bought.
            ValueError: the day isn't the one after the last.
        """
        raise NotImplementedError

    def advance(self, day: int) -> Iterator[dict[str, pa.Table]]:
        """Step over empty days until ``day`` is the next one; the rows of each midnight that has some."""
        raise NotImplementedError

    def recent_days(self) -> pa.Table:
        """The net daily sums of the 30 days before (feature_views.RECENT_DAYS), sorted by user, item, category, day."""
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        """All that ``restore`` needs besides the codes; not to be changed, and valid until the next step."""
        raise NotImplementedError

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], users: Codes, items: Codes, categories: Codes) -> "Timeline":
        """The timeline that gave ``arrays``. It takes them over and writes into them, where it can."""
        raise NotImplementedError

    def adopt(self, other: "Timeline", users: Int32, items: Int32) -> None:
        """Take over what ``other`` knows of these users and items (codes).

        ``other`` is at the same midnight, has the same Codes objects, and saw all events and cancellations of these
        users and of these items. Whatever it hasn't seen of these users is forgotten.
        """
        raise NotImplementedError

    @classmethod
    def of_rows(cls, rows: Mapping[str, pa.Table], recent_days: pa.Table, until: int) -> "Timeline":
        """A timeline of a few users from their newest published rows up to the midnight ``until`` (days since 1970).

        ``rows``: user_activity_v2, user_item_activity_v2 (of all items), user_category_activity_v1 and
        user_recent_items_v1, one row a key; ``recent_days``: RECENT_DAYS of these users. Its steps give these four
        views only; its codes are its own (``timeline.users`` …).
        """
        raise NotImplementedError
