"""Feature logic: Ibis expressions from events and products to the four feature views, as change points.

A row stamped t (a midnight, UTC) holds the events of days strictly before t; a window of w days those of [t - w, t).
Rows exist only where a value changes: the midnight after a day with events, and the midnights at which that day
leaves a window. Values are running sums of these changes, never frames over ranges: they cost the same for every
window and run on DuckDB and Spark alike. Sums are integers (counts, minor units of money), equal on every engine.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

import ibis

from pipelines.core.columns import Col

COUNTED: Final = {"views": "view", "clicks": "click", "carts": "add_to_cart", "purchases": "purchase"}
"""Feature prefix -> event type; remove_from_cart isn't counted in v1."""

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "user_activity_v1": (Col.USER_ID,),
    "item_activity_v1": (Col.ITEM_ID,),
    "user_item_activity_v1": (Col.USER_ID, Col.ITEM_ID),
    "item_profile_v1": (Col.ITEM_ID,),
}
"""Feature view -> its entity keys."""

PROFILE: Final = (Col.TITLE, Col.CATEGORY, Col.PRICE, "rating_rate", "rating_count", "in_stock")
"""What item_profile_v1 takes from the catalogue."""


def as_of(last_event: datetime, now: datetime) -> datetime:
    """The newest midnight (UTC) whose features are final: after the day of ``last_event``, but never after ``now``."""
    return min(_midnight(last_event) + timedelta(days=1), _midnight(now))


def views(events: Any, products: Any, until: datetime) -> dict[str, Any]:
    """The four feature views as unsorted Ibis tables with rows up to ``until``.

    Columns: the keys, event_timestamp, created_timestamp, the features. One row per (keys, event_timestamp).
    """
    return {
        "user_activity_v1": user_activity(events, until),
        "item_activity_v1": item_activity(events, until),
        "user_item_activity_v1": user_item_activity(events, until),
        "item_profile_v1": item_profile(products, events, until),
    }


def user_activity(events: Any, until: datetime) -> Any:
    """A user's events by type over 1, 7, 30 days and all time, what they spent, the mean price of what they look at."""
    sums = _running_sums(events, KEYS["user_activity_v1"], (1, 7, 30), until)
    mean_price = (sums["cents_all"] / sums["priced_all"].nullif(0)).cast("float64")
    return _stamped(
        sums,
        KEYS["user_activity_v1"],
        **{name: sums[name] for name in _counts((1, 7, 30))},
        spend_30d=sums["spend_30d"],
        spend_all=sums["spend_all"],
        mean_price_all=mean_price,
        last_event_epoch_s=sums["last_event_epoch_s"],
    )


def item_activity(events: Any, until: datetime) -> Any:
    """An item's events by type over 1, 7, 30 days and all time, and its revenue."""
    sums = _running_sums(events, KEYS["item_activity_v1"], (1, 7, 30), until)
    return _stamped(
        sums,
        KEYS["item_activity_v1"],
        **{name: sums[name] for name in _counts((1, 7, 30))},
        revenue_30d=sums["spend_30d"],
        revenue_all=sums["spend_all"],
        last_event_epoch_s=sums["last_event_epoch_s"],
    )


def user_item_activity(events: Any, until: datetime) -> Any:
    """A user's events with one item by type over 7, 30 days and all time."""
    sums = _running_sums(events, KEYS["user_item_activity_v1"], (7, 30), until)
    return _stamped(
        sums,
        KEYS["user_item_activity_v1"],
        **{name: sums[name] for name in _counts((7, 30))},
        last_event_epoch_s=sums["last_event_epoch_s"],
    )


def item_profile(products: Any, events: Any, until: datetime) -> Any:
    """What the catalogue said of an item, a row for each version that changes something.

    The first known version counts from the midnight before the item's first event (there is no older truth), or from
    its own day if that is earlier; an item without events counts from its day, at the latest from ``until``. Later
    versions count from ``valid_from``. ``first_seen_epoch_s`` is the stamp of the first row.
    """
    first = events.group_by(Col.ITEM_ID).aggregate(first_day=events[Col.TIMESTAMP].min().date())
    versions = products.left_join(first, Col.ITEM_ID).select(products, first.first_day)
    # of versions of one moment the last in the order of their values counts: any rule, but always the same
    moments = ibis.window(group_by=[Col.ITEM_ID, "valid_from"], order_by=[ibis.desc(c) for c in PROFILE])
    versions = versions.mutate(place=ibis.row_number().over(moments)).filter(ibis._.place == 0)
    ordered = ibis.window(group_by=Col.ITEM_ID, order_by="valid_from")
    same = [versions[c].identical_to(versions[c].lag().over(ordered)) for c in PROFILE]
    versions = versions.mutate(version=ibis.row_number().over(ordered), unchanged=ibis.and_(*same))
    versions = versions.filter((versions.version == 0) | ~versions.unchanged)
    end = ibis.literal(until.date())
    start = ibis.least(versions.valid_from.date(), versions.first_day.fill_null(end), end)
    t = ibis.ifelse(versions.version == 0, _at_midnight(start), versions.valid_from)
    stamped = versions.mutate(t=t).filter(t <= ibis.literal(until, type="timestamp('UTC', 6)"))
    first_seen = stamped.t.min().over(ibis.window(group_by=Col.ITEM_ID))
    return _stamped(
        stamped,
        KEYS["item_profile_v1"],
        **{name: stamped[name] for name in PROFILE},
        first_seen_epoch_s=_epoch_s(first_seen),
    )


def _counts(windows: Sequence[int]) -> list[str]:
    return [f"{name}_{window}" for name in COUNTED for window in (*(f"{w}d" for w in windows), "all")]


def _daily(events: Any, keys: Sequence[str]) -> Any:
    """Integer sums of each key and day."""
    cents = (events[Col.PRICE] * 100).round().cast("int64")
    purchased = events[Col.EVENT_TYPE] == COUNTED["purchases"]
    return events.group_by(*keys, day=events[Col.TIMESTAMP].date()).aggregate(
        **{name: (events[Col.EVENT_TYPE] == kind).sum() for name, kind in COUNTED.items()},
        spend=(cents * events[Col.QUANTITY]).sum(where=purchased).fill_null(0),
        cents=cents.sum().fill_null(0),
        priced=cents.count(),
        last=_epoch_s(events[Col.TIMESTAMP].max()),
    )


def _running_sums(events: Any, keys: Sequence[str], windows: Sequence[int], until: datetime) -> Any:
    """A table of keys, ``t`` and every sum over all time and each window, at the change points up to ``until``.

    A day's sums enter at ``after`` = 1 day, and leave a window of w days at 1 + w. A day without counted events has
    nothing that could leave.
    """
    daily = _daily(events, keys)
    daily = daily.mutate(after=ibis.array([1, *(1 + w for w in windows)]).unnest())
    enters = daily.after == 1
    counted = ibis.or_(*(daily[name] != 0 for name in COUNTED))
    daily = daily.mutate(t=daily.day + daily.after.as_interval("D"))
    daily = daily.filter((enters | counted) & (daily.t <= ibis.literal(until.date())))
    changes = {f"{name}_all": _when(daily.after == 1, daily[name]) for name in (*COUNTED, "spend", "cents", "priced")}
    for w in windows:
        for name in (*COUNTED, "spend"):
            n = daily[name]
            changes[f"{name}_{w}d"] = _when(daily.after == 1, n) - _when(daily.after == 1 + w, n)
    points = daily.group_by(*keys, "t").aggregate(
        **{name: change.sum() for name, change in changes.items()}, last=daily.last.max()
    )
    so_far = ibis.cumulative_window(group_by=list(keys), order_by="t")
    return points.select(
        *keys,
        t=_at_midnight(points.t),
        **{name: _int64(points[name].sum().over(so_far)) for name in changes},
        last_event_epoch_s=_int64(points.last.max().over(so_far)),
    )


def _stamped(table: Any, keys: Sequence[str], **features: Any) -> Any:
    """Keys, Feast's two time columns, features. In a full build a row is created the moment it is about."""
    return table.select(*keys, **{Col.EVENT_TIMESTAMP: table.t, Col.CREATED_TIMESTAMP: table.t}, **features)


def _when(condition: Any, value: Any) -> Any:
    return ibis.ifelse(condition, value, 0)


def _int64(value: Any) -> Any:
    """A 64-bit integer; engines widen sums (DuckDB to 128 bits), and Ibis doesn't know."""
    return value.cast("!int64")


def _epoch_s(timestamp: Any) -> Any:
    """Whole seconds since 1970, rounded down."""
    return timestamp.truncate("s").epoch_seconds().cast("int64")


def _at_midnight(day: Any) -> Any:
    return day.cast("timestamp('UTC', 6)")


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), time(), tzinfo=UTC)
