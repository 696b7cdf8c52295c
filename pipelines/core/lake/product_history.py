"""The catalogue in time: each item's states from an API's snapshots, and what was known at a moment."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _
from ibis.expr.types import Table, TimestampValue

from pipelines.core.columns import PRODUCT_SCHEMA, Col

STATE: Final = PRODUCT_SCHEMA.names[:-1]
"""What a state holds besides ``valid_from``."""
_STOCK: Final = STATE.index("in_stock")
_EVER: Final = "1970-01-01 00:00:00"

_state: Final = itemgetter(*STATE)

State = tuple[Any, ...]


def history(snapshots: Iterable[tuple[datetime, Iterable[dict[str, Any]]]]) -> pa.Table:
    """Every state of every item from snapshots in order of time: a row where it changed; ``PRODUCT_SCHEMA``.

    An item that a later snapshot no longer lists is out of stock from then on. Of two snapshots of one moment the
    later one counts. Each snapshot is taken when the one before it is done with.
    """
    parts: list[pa.Table] = [PRODUCT_SCHEMA.empty_table()]
    current: dict[str, State] = {}
    for moment, products in snapshots:
        listed = dict(_against(current, products))
        changed = [state for item_id, state in listed.items() if current.get(item_id) is not state]
        changed += [_gone(state) for item_id, state in current.items() if item_id not in listed and state[_STOCK]]
        current |= {state[0]: state for state in changed}
        parts.append(_rows(changed, moment))
    rows = pa.concat_tables(parts).sort_by([(Col.ITEM_ID, "ascending"), ("valid_from", "ascending")])
    return _last_of_each_moment(rows)


def _against(current: dict[str, State], products: Iterable[dict[str, Any]]) -> Iterator[tuple[str, State]]:
    """Each product's id and state: the very one of ``current`` where it is equal, so that it is held once."""
    for product in products:
        state = _state(product)
        before = current.get(state[0])
        yield state[0], before if before is not None and before == state else state


def _gone(state: State) -> State:
    return (*state[:_STOCK], False, *state[_STOCK + 1 :])


def _rows(states: list[State], moment: datetime) -> pa.Table:
    columns = zip(*states, strict=True) if states else [()] * len(STATE)
    arrays = [pa.array(column, PRODUCT_SCHEMA.field(name).type) for name, column in zip(STATE, columns, strict=True)]
    return pa.Table.from_arrays(
        [*arrays, pa.array([moment] * len(states), PRODUCT_SCHEMA[-1].type)], schema=PRODUCT_SCHEMA
    )


def _last_of_each_moment(rows: pa.Table) -> pa.Table:
    """Of rows of one item and one moment, which stand in the order they came in, the last."""
    if len(rows) < 2:
        return rows
    this, following = rows.slice(0, len(rows) - 1), rows.slice(1)
    same = [pc.equal(this[name], following[name]) for name in (Col.ITEM_ID, "valid_from")]
    again = pa.chunked_array([*pc.and_(*same).chunks, pa.array([False])])
    return rows.filter(pc.invert(again)) if pc.any(again).as_py() else rows


def counts_from(products: Table, *, first_counts_back: bool) -> TimestampValue:
    """From when on each state counts: its ``valid_from``, included.

    Args:
        products: states of items, ``PRODUCT_SCHEMA``.
        first_counts_back: an item's first state counts for all the time before it, too, for there is no older truth.
            So events can be described that happened before the catalogue was first fetched.
    """
    if not first_counts_back:
        return products.valid_from
    first = ibis.row_number().over(group_by=Col.ITEM_ID, order_by="valid_from") == 0
    return ibis.ifelse(first, ibis.timestamp(_EVER, timezone="UTC"), products.valid_from)


def as_of(products: Table, moment: datetime, *, first_counts_back: bool = False) -> Table:
    """The catalogue as it was known at ``moment``: each item's newest state with ``valid_from`` up to then, by item.

    An item without such a state is not in it, unless its first state counts back (``counts_from``).
    """
    states = products.mutate(since=counts_from(products, first_counts_back=first_counts_back))
    known = states.filter(_.since <= ibis.literal(moment))
    newest = ibis.row_number().over(group_by=Col.ITEM_ID, order_by=ibis.desc("since")) == 0
    return known.mutate(newest=newest).filter(_.newest).drop("newest", "since").order_by(Col.ITEM_ID)
