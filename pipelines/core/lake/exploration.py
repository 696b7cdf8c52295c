"""What the plots of the prepared interactions show: small aggregates, as Ibis expressions. Times are UTC."""

from typing import Any, Final, Literal

import ibis
from ibis import _
from ibis.expr.types import IntegerValue, Table

from pipelines.core.columns import Col

HOUR: Final = 3_600
DAY: Final = 86_400
STEPS: Final = {"viewed": "view", "carted": "add_to_cart", "bought": "purchase"}
"""The way to a purchase."""
MINUTES: Final = (0, 1, 2, 5, 10, 20, 30, 60, 120)
"""Where the classes of a session's length begin: nothing at all, more than 0, from 1 on, and so forth."""

Unit = Literal["week", "month"]


def hourly(prepared: Table) -> Table:
    """(hour, event_type, events): events of each type in each hour since 1970."""
    counted = prepared.group_by(Col.EVENT_TYPE, hour=_seconds(prepared) // HOUR).agg(events=_.count())
    return counted.order_by("hour", Col.EVENT_TYPE)


def items(prepared: Table) -> Table:
    """(item_id, events, purchases)."""
    return prepared.group_by(Col.ITEM_ID).agg(
        events=_.count(), purchases=(_[Col.EVENT_TYPE] == "purchase").sum().cast("!int64")
    )


def user_periods(prepared: Table, unit: Unit) -> Table:
    """(user_id, period, events, viewed, carted, bought): a user in a week (from Monday) or month, counted from 1970."""
    return prepared.group_by(Col.USER_ID, period=_period(prepared, unit)).agg(events=_.count(), **_reached())


def sessions(prepared: Table) -> Table:
    """(session_id, user_id, start, seconds, events, viewed, carted, bought), start in seconds since 1970."""
    at = _seconds(prepared)
    found = prepared.group_by(Col.SESSION_ID, Col.USER_ID).agg(
        start=at.min(), end=at.max(), events=_.count(), **_reached()
    )
    return found.mutate(seconds=found.end - found.start).drop("end")


def pairs(prepared: Table) -> Table:
    """(user_id, item_id) that occur."""
    return prepared.select(Col.USER_ID, Col.ITEM_ID).distinct()


def of_one_in(prepared: Table, n: int) -> Table:
    """The rows of one user in ``n``, always the same users."""
    return prepared if n == 1 else prepared.filter(_hash(prepared[Col.USER_ID]) % n == 0)


def activity(counts: Table) -> Table:
    """(events, n): how many rows of ``counts`` have each number of events."""
    return counts.group_by("events").agg(n=_.count()).order_by("events")


def top(items: Table, products: Table, n: int) -> Table:
    """The ``n`` most active items with their newest title."""
    busiest = items.order_by(ibis.desc("events"), Col.ITEM_ID).limit(n)
    newest = products.group_by(Col.ITEM_ID).agg(title=_.title.argmax(_.valid_from))
    joined = busiest.left_join(newest, Col.ITEM_ID).select(Col.ITEM_ID, "title", "events", "purchases")
    return joined.order_by(ibis.desc("events"), Col.ITEM_ID)


def users(user_periods: Table) -> Table:
    """(user_id, events, first, viewed, carted, bought) of each user; ``first`` is the period they came in."""
    reached = {name: _[name].any() for name in STEPS}
    return user_periods.group_by(Col.USER_ID).agg(events=_.events.sum().cast("!int64"), first=_.period.min(), **reached)


def funnel(reached: Table) -> Table:
    """One row: how many viewed, viewed and carted, did all three; and how many did each step at all (``any_…``)."""
    so_far = ibis.literal(True)
    steps: dict[str, IntegerValue] = {}
    for name in STEPS:
        so_far = so_far & reached[name]
        steps |= {name: so_far.sum().cast("!int64"), f"any_{name}": reached[name].sum().cast("!int64")}
    return reached.agg(all=reached.count(), **steps)


def retention(user_periods: Table, users: Table) -> Table:
    """(first, later, users): of those who came in period ``first``, how many were there ``later`` periods on."""
    both = user_periods.inner_join(users, Col.USER_ID).select(users["first"], user_periods.period)
    return both.group_by("first", later=both.period - both["first"]).agg(users=_.count()).order_by("first", "later")


def lengths(sessions: Table) -> Table:
    """(minutes, n): sessions by their length; ``minutes`` counts the classes of MINUTES."""
    place = sum((sessions.seconds >= 60 * m).cast("int64") for m in MINUTES[1:]) + (sessions.seconds > 0).cast("int64")
    return sessions.group_by(minutes=place).agg(n=_.count()).order_by("minutes")


def orders(sessions: Table) -> Table:
    """(orders, n): how many users have each number of sessions."""
    each = sessions.group_by(Col.USER_ID).agg(orders=_.count())
    return each.group_by("orders").agg(n=_.count()).order_by("orders")


def gaps(sessions: Table) -> Table:
    """(days, n): whole days between a session's start and the next one's of the user."""
    by_user = ibis.window(group_by=Col.USER_ID, order_by=["start", Col.SESSION_ID])
    after = sessions.start - sessions.start.lag().over(by_user)
    known = sessions.select(days=after // DAY)
    return known.filter(known.days.notnull()).group_by("days").agg(n=_.count()).order_by("days")


def occupancy(pairs: Table, items: Table, bins: int) -> Table:
    """(user_bin, item_bin, pairs, users, items): pairs by bins of users and of items, the most active in bin 0."""
    each = pairs.group_by(Col.USER_ID).agg(items=_.count())
    by_user = ibis.ntile(bins).over(ibis.window(order_by=[ibis.desc("items"), Col.USER_ID]))
    by_item = ibis.ntile(bins).over(ibis.window(order_by=[ibis.desc("events"), Col.ITEM_ID]))
    ranked = each.select(Col.USER_ID, user_bin=by_user)
    listed = items.select(Col.ITEM_ID, item_bin=by_item)
    cells = pairs.inner_join(ranked, Col.USER_ID).inner_join(listed, Col.ITEM_ID).group_by("user_bin", "item_bin")
    return cells.agg(pairs=_.count()).order_by("user_bin", "item_bin")


# DuckDB's own functions: Ibis' go by way of the time zone and of signed numbers, at several times the price.
@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp('UTC', 6)",), "int64"))
def _epoch_us(at: Any) -> Any:
    """Microseconds since 1970."""


@ibis.udf.scalar.builtin(name="hash", signature=(("string",), "uint64"))
def _hash(value: Any) -> Any:
    """A hash."""


def _seconds(prepared: Table) -> IntegerValue:
    return _epoch_us(prepared[Col.TIMESTAMP]) // 1_000_000


def _period(prepared: Table, unit: Unit) -> IntegerValue:
    if unit == "week":
        return (_seconds(prepared) // DAY + 3) // 7  # 1970 began on a Thursday
    at = prepared[Col.TIMESTAMP]
    return at.year() * 12 + at.month() - 1 - 1970 * 12


def _reached() -> dict[str, ibis.Deferred]:
    return {name: (_[Col.EVENT_TYPE] == kind).any() for name, kind in STEPS.items()}
