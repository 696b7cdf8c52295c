"""A small shop that never changes: what the meaning of a published feature view is measured on.

Four weeks of events, six weeks of silence, three weeks more; every event type, prices and none, several sessions of
one second, bots, a user with more items than are remembered, purchases taken back at once and late, in part and
wholly, and a catalogue that changes. Whoever changes it changes every meaning: records of older views stay comparable
only while it stays as it is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from pipelines.core.columns import EVENT_TYPES, PRODUCT_SCHEMA, TAKEN_BACK_SCHEMA, UTC_US, Col

START: Final = datetime(2024, 2, 1, tzinfo=UTC)
UNTIL: Final = START + timedelta(days=130)
"""The midnight up to which features are computed: every window has emptied."""

EVENTS: Final = 420
USERS: Final = 5
ITEMS: Final = 29

EVENT_COLUMNS: Final = pa.schema(
    [
        (Col.EVENT_ID, pa.string()),
        (Col.USER_ID, pa.string()),
        (Col.ITEM_ID, pa.string()),
        (Col.EVENT_TYPE, pa.string()),
        (Col.TIMESTAMP, UTC_US),
        (Col.QUANTITY, pa.int64()),
        (Col.PRICE, pa.float64()),
        (Col.CATEGORY, pa.string()),
        (Col.IS_BOT, pa.bool_()),
    ]
)
"""The columns of prepared interactions that features read."""

Row = dict[str, Any]


def events() -> pa.Table:
    """The events in order of (timestamp, event_id)."""
    return pa.Table.from_pylist(_events(), EVENT_COLUMNS)


def taken_back() -> pa.Table:
    """What was taken back of purchases, in order of the cancellations: the first of four wholly on its own day,

    the second wholly after two days, the third in two parts of which the later comes after 33 days, the fourth not.
    """
    bought = [row for row in _events() if row[Col.EVENT_TYPE] == "purchase"]
    rows = [part for n, row in enumerate(bought) for part in _parts(n % 4, row)]
    return pa.Table.from_pylist(sorted(rows, key=lambda r: (r[Col.CANCELLED_AT], r[Col.EVENT_ID])), TAKEN_BACK_SCHEMA)


def products() -> pa.Table:
    """The catalogue: every seventh item is missing, every third changes, one appears without ever having an event."""
    listed = [n for n in range(ITEMS + 1) if n % 7 != 6]
    rows = [_product(n, timedelta(days=-3 if n % 2 else 9, hours=5), 1.0) for n in listed]
    rows += [_product(n, timedelta(days=30 + n, hours=7), 1.25) for n in listed if n % 3 == 0]
    return pa.Table.from_pylist(rows, PRODUCT_SCHEMA)


def _events() -> list[Row]:
    draw = _draws()
    rows = [_event(n, draw) for n in range(EVENTS)]
    collector = [_of("u9", item, "view", START + timedelta(days=3, minutes=item), 1, 2.5) for item in range(24)]
    numbered = [row | {Col.EVENT_ID: f"e{n:04}"} for n, row in enumerate([*rows, *collector])]
    return sorted(numbered, key=lambda row: (row[Col.TIMESTAMP], row[Col.EVENT_ID]))


def _event(n: int, draw: Iterator[int]) -> Row:
    day = next(draw) % 49
    second = next(draw) % 86_400 if n % 9 else 43_200  # some share one second
    at = START + timedelta(days=day if day < 28 else day + 42, seconds=second, microseconds=next(draw) % 1_000_000)
    kind = EVENT_TYPES[next(draw) % 5]
    price = None if next(draw) % 8 == 0 else (next(draw) % 20_000 + 1) / 200  # half minor units among them
    row = _of(f"u{next(draw) % USERS}", next(draw) % ITEMS, kind, at, next(draw) % 3 + 1, price)
    return row | {Col.IS_BOT: next(draw) % 25 == 0}


def _of(user: str, item: int, kind: str, at: datetime, quantity: int, price: float | None) -> Row:
    category = None if item % 5 == 4 else f"c{item % 5 + (at > START + timedelta(days=50)) * (item % 3 == 0)}"
    return {
        Col.USER_ID: user,
        Col.ITEM_ID: f"i{item}",
        Col.EVENT_TYPE: kind,
        Col.TIMESTAMP: at,
        Col.QUANTITY: quantity,
        Col.PRICE: price,
        Col.CATEGORY: category,
        Col.IS_BOT: False,
    }


def _parts(case: int, bought: Row) -> list[Row]:
    """The parts in which a purchase is taken back: (days later, pieces, whether nothing is left)."""
    pieces = bought[Col.QUANTITY]
    later = {0: [(0, pieces)], 1: [(2, pieces)], 2: [(5, 1), (33, pieces - 1)], 3: []}[case]
    parts, left = [], pieces
    for days, quantity in later:
        left -= quantity
        at = bought[Col.TIMESTAMP] + timedelta(days=days, microseconds=1)
        if quantity:
            parts.append(bought | {Col.QUANTITY: quantity, Col.CANCELLED_AT: at, Col.WHOLE: left == 0})
    return [{name: part[name] for name in TAKEN_BACK_SCHEMA.names} for part in parts]


def _product(n: int, after: timedelta, factor: float) -> Row:
    return {
        Col.ITEM_ID: f"i{n}",
        Col.TITLE: f"Item {n}",
        Col.CATEGORY: None if n % 5 == 4 else f"c{n % 5}",
        Col.PRICE: None if n % 11 == 10 else (n + 1) * factor,
        "rating_rate": None if n % 4 == 3 else n % 5 + factor / 4,
        "rating_count": None if n % 4 == 3 else 7 * n,
        "in_stock": n % 6 != 5,
        "valid_from": START + after,
    }


def _draws() -> Iterator[int]:
    """Numbers that look like chance and are the same everywhere (the linear congruence of ISO C's example)."""
    state = 1
    while True:
        state = (1_103_515_245 * state + 12_345) % 2**31
        yield state >> 8
