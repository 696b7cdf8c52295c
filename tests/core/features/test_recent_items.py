"""The last different items of a user."""

import numpy as np
import pyarrow as pa

from pipelines.core.features import recent_items
from pipelines.core.features.codes import Codes
from pipelines.core.features.feature_views import RECENT_ITEMS
from pipelines.core.features.recent_items import NONE
from tests.core import timelines
from tests.feature_data import event


def row(*items: int) -> list[int]:
    return [*items, *[NONE] * (RECENT_ITEMS - len(items))]


def test_a_days_items_are_ordered_by_their_last_event() -> None:
    user, item, last = np.array([4, 4, 4, 2]), np.array([0, 1, 2, 1]), np.array([5, 9, 0, 3])
    users, items = recent_items.latest_first(user, item, last)
    assert users.tolist() == [4, 2]
    assert items.tolist() == [row(1, 0, 2), row(1)]


def test_an_item_in_two_categories_comes_once() -> None:
    _, items = recent_items.latest_first(np.array([0, 0, 0]), np.array([3, 3, 5]), np.array([1, 8, 4]))
    assert items.tolist() == [row(3, 5)]


def test_no_more_than_twenty_of_a_day_are_kept() -> None:
    _, items = recent_items.latest_first(np.zeros(30, int), np.arange(30), np.arange(30))
    assert items.tolist() == [list(range(29, 9, -1))]


def test_older_items_follow_without_those_seen_again() -> None:
    merged = recent_items.merge(np.array([row(1, 0), row()], np.int32), np.array([row(5, 0, 6), row(2)], np.int32))
    assert merged.tolist() == [row(1, 0, 5, 6), row(2)]


def test_the_oldest_fall_off() -> None:
    full = np.arange(20, dtype=np.int32)[None]
    assert recent_items.merge(np.array([row(99, 3)], np.int32), full).tolist() == [[99, 3, 0, 1, 2, *range(4, 19)]]


def test_lists_of_ids_go_to_rows_and_back() -> None:
    items, lists = Codes(), pa.array([["a", "b"], [], ["b"]])
    rows = recent_items.of_lists(pa.chunked_array([lists]), items)
    assert rows.tolist() == [row(0, 1), row(), row(1)]
    assert recent_items.lists(rows, items.ids) == lists


def test_of_events_at_one_moment_the_later_id_is_the_later_event() -> None:
    """Events come in order of (timestamp, event_id): their place counts, not only their second."""
    timeline = timelines.new()
    events = [event("u", item, "view", 0.5) for item in ("i1", "i3", "i2")]
    (rows,) = [timeline.step(*step) for step in timelines.days(timeline, events, end=1)]
    assert rows["user_recent_items_v1"]["recent_items"].to_pylist() == [["i2", "i3", "i1"]]
