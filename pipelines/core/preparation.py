"""Canonical events made ready: sessions, and what the catalogue knew of each item at the time, as Ibis expressions."""

import ibis
from ibis import _
from ibis.expr.types import Table

from pipelines.core.columns import EVENT_SCHEMA, Col

PREPARED_COLUMNS = (*EVENT_SCHEMA.names, Col.CATEGORY)


def with_sessions(events: Table, gap_minutes: int) -> Table:
    """Give events without a session one of their user's: ``user-1``, ``user-2`` …; a given session id stays.

    A session ends after more than ``gap_minutes`` without such an event of the user.
    """
    given = events.filter(_.session_id.notnull())
    without = events.filter(_.session_id.isnull())
    by_user = ibis.window(group_by=Col.USER_ID, order_by=[Col.TIMESTAMP, Col.EVENT_ID])
    before = without[Col.TIMESTAMP].lag().over(by_user)
    late = without[Col.TIMESTAMP] > before + ibis.interval(minutes=gap_minutes)
    starts = (before.isnull() | late).cast("int64")
    marked = without.mutate(starts=starts)
    number = marked.starts.sum().over(
        ibis.window(group_by=Col.USER_ID, order_by=[Col.TIMESTAMP, Col.EVENT_ID], preceding=None, following=0)
    )
    numbered = marked.mutate(session_id=marked[Col.USER_ID] + "-" + number.cast(str))
    return given.union(numbered.drop("starts").select(*given.columns))


def with_catalogue(events: Table, products: Table) -> Table:
    """Add ``category`` and fill an absent ``price`` from the item's state at the time of the event.

    Before an item's first known state that state counts: there is no older truth. Of a later one, nothing shows.
    """
    first = ibis.row_number().over(group_by=Col.ITEM_ID, order_by="valid_from") == 0
    states = products.select(
        Col.ITEM_ID,
        Col.CATEGORY,
        list_price=products[Col.PRICE],
        since=ibis.ifelse(first, ibis.timestamp("1970-01-01 00:00:00", timezone="UTC"), products.valid_from),
    )
    joined = events.asof_join(states, on=events[Col.TIMESTAMP] >= states.since, predicates=Col.ITEM_ID)
    filled = joined.mutate(price=ibis.coalesce(joined[Col.PRICE], joined.list_price))
    return filled.select(*PREPARED_COLUMNS)


def prepare(events: Table, products: Table, gap_minutes: int) -> Table:
    """The prepared interactions by time and event id."""
    sessions = with_sessions(events, gap_minutes)
    return with_catalogue(sessions, products).order_by(Col.TIMESTAMP, Col.EVENT_ID)


def covering(products: Table, events: Table) -> Table:
    """The catalogue by item and time, with an entry for every item of ``events``.

    An item that the catalogue doesn't know has its id for a title, from the midnight before its first event on.
    """
    seen = events.group_by(Col.ITEM_ID).agg(first=_[Col.TIMESTAMP].min())
    unlisted = seen.anti_join(products, Col.ITEM_ID)
    nothing = {name: ibis.null(kind) for name, kind in products.schema().items()}
    known = {Col.ITEM_ID: _[Col.ITEM_ID], Col.TITLE: _[Col.ITEM_ID], "in_stock": ibis.literal(True)}
    named = unlisted.select(
        **(nothing | known | {"valid_from": _.first.truncate("D").cast(nothing["valid_from"].type())})
    )
    return products.union(named).order_by(Col.ITEM_ID, "valid_from")


def daily(prepared: Table) -> Table:
    """Events of each type on each day."""
    return (
        prepared.group_by(day=prepared[Col.TIMESTAMP].truncate("D"), event_type=_.event_type)
        .agg(events=_.count())
        .order_by("day", "event_type")
    )


def activity(prepared: Table, key: str) -> Table:
    """How many users (or items) have each number of events."""
    each = prepared.group_by(key).agg(events=_.count())
    return each.group_by("events").agg(n=_.count()).order_by("events")


def by_item(prepared: Table, products: Table) -> Table:
    """Events and purchases of each item with its newest title, most active first."""
    newest = products.group_by(Col.ITEM_ID).agg(title=_.title.argmax(_.valid_from))
    counts = prepared.group_by(Col.ITEM_ID).agg(events=_.count(), purchases=(_[Col.EVENT_TYPE] == "purchase").sum())
    joined = counts.left_join(newest, Col.ITEM_ID).select(Col.ITEM_ID, "title", "events", "purchases")
    return joined.order_by(ibis.desc("events"), Col.ITEM_ID)
