"""Canonical events made ready: sessions, and what the catalogue knew of each item at the time, as Ibis expressions.

Events come in pieces, each a stretch of time; ``n`` is a row's place in the order of time and event id in its piece,
``second`` its whole seconds since 1970 (UTC).
"""

from typing import Final

import ibis
from ibis import _
from ibis.expr.types import Table

from pipelines.core.columns import Col

EPOCH: Final = ibis.timestamp("1970-01-01 00:00:00", timezone="UTC")
CARRIED: Final = ibis.schema({Col.USER_ID: "string", "last": "timestamp('UTC', 6)", "number": "int64"})
"""What one piece tells the next: each user's last event without a session id, and the number of its session."""


def sessions(rows: Table, carried: Table, gap_minutes: int) -> Table:
    """Which of its user's sessions each event is in, of events without a session id: ``number`` from 1.

    A session ends after more than ``gap_minutes`` without such an event of the user.
    """
    known = rows.left_join(carried, Col.USER_ID).select(rows, carried["last"], carried.number)
    by_user = ibis.window(group_by=Col.USER_ID, order_by="n")
    before = ibis.coalesce(known[Col.TIMESTAMP].lag().over(by_user), known["last"])
    late = known[Col.TIMESTAMP] > before + ibis.interval(minutes=gap_minutes)
    marked = known.mutate(starts=(before.isnull() | late).cast("int64"))
    so_far = marked.starts.sum().over(ibis.cumulative_window(group_by=Col.USER_ID, order_by="n"))
    number = (ibis.coalesce(marked.number, 0) + so_far).cast("!int64")
    return marked.select(rows.columns, number=number)


def carry(carried: Table, numbered: Table) -> Table:
    """What the next piece must know after ``numbered``, the ``sessions`` of this one."""
    newest = numbered.group_by(Col.USER_ID).agg(last=_[Col.TIMESTAMP].max(), number=_.number.max())
    return carried.anti_join(newest, Col.USER_ID).union(newest.select(carried.columns))


def states(catalogue: Table) -> Table:
    """The catalogue as (item_id, category, list_price, since, until, place): each state in force in [since, until).

    Before an item's first known state that state counts: there is no older truth. Of a later one, nothing shows.
    ``until`` is null where the state is the item's last; ``place`` numbers the states from 0.
    """
    by_item = ibis.window(group_by=Col.ITEM_ID, order_by="valid_from")
    first = ibis.row_number().over(by_item) == 0
    return catalogue.select(
        Col.ITEM_ID,
        Col.CATEGORY,
        list_price=catalogue[Col.PRICE],
        since=ibis.ifelse(first, EPOCH, catalogue.valid_from),
        until=catalogue.valid_from.lead().over(by_item),
        place=ibis.row_number().over(ibis.window(order_by=[Col.ITEM_ID, "valid_from"])),
    )


def in_force(states: Table, span: Table) -> Table:
    """The states in force at some time of ``span`` (one row: start, end); ``alone`` where it is its item's only one.

    Where it is, that state is the item's throughout: no need to look at the time of an event.
    """
    spanned = states.cross_join(span)
    begun, gone = spanned.since < spanned.end, spanned.until.notnull() & (spanned.until <= spanned.start)
    here = spanned.filter(begun & ~gone).select(states.columns)
    return here.mutate(alone=here.since.count().over(ibis.window(group_by=Col.ITEM_ID)) == 1)


def states_at(rows: Table, states: Table) -> Table:
    """(n, place): the item's state at the time of each event; null without one."""
    joined = rows.asof_join(states, on=rows[Col.TIMESTAMP] >= states.since, predicates=Col.ITEM_ID)
    return joined.select("n", "place")


def covering(products: Table, unlisted: Table) -> Table:
    """The catalogue by item and time, with an entry for each item of ``unlisted`` (item_id, first).

    An item that the catalogue doesn't know has its id for a title, from the midnight before its first event on.
    """
    nothing = {name: ibis.null(kind) for name, kind in products.schema().items()}
    known = {Col.ITEM_ID: _[Col.ITEM_ID], Col.TITLE: _[Col.ITEM_ID], "in_stock": ibis.literal(True)}
    named = unlisted.select(
        **(nothing | known | {"valid_from": _.first.truncate("D").cast(nothing["valid_from"].type())})
    )
    return products.union(named).order_by(Col.ITEM_ID, "valid_from")
