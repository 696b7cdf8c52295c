"""Purchases taken back: which pieces of which purchase, and when nothing of it remained."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import TAKEN_BACK_SCHEMA, UTC_US, Col

NETTED_SCHEMA: Final = pa.schema(
    [
        pa.field(Col.EVENT_ID, pa.string()),
        pa.field(Col.NET_QUANTITY, pa.int64()),
        pa.field(Col.CANCELLED_AT, UTC_US),
    ]
)

PIECES_SCHEMA: Final = pa.schema(
    [TAKEN_BACK_SCHEMA.field(name) for name in (Col.EVENT_ID, Col.QUANTITY, Col.CANCELLED_AT, Col.WHOLE)]
)


@dataclass(frozen=True)
class Netting:
    """What the cancellations did."""

    purchases: pa.Table
    """NETTED_SCHEMA: the purchases that lost pieces, with what remained in the end, and when it became nothing."""
    pieces: pa.Table
    """PIECES_SCHEMA: what each cancellation took from each purchase, in the order of the cancellations."""
    counts: dict[str, int]
    """Cancellations in all, and those that found all, some or none of their pieces; pieces taken back, and pieces not
    found; purchases that lost pieces, and those that lost all."""


def net(purchases: pa.Table, cancellations: pa.Table) -> Netting:
    """Let each cancellation take its pieces from the user's latest purchases of the item up to its time.

    Last in, first out: whoever sends goods back sends the newest. Pieces that no purchase is left for (bought before
    the log began, mostly) are counted and change nothing. Both tables come in order of time and event id.
    """
    bought, back = _rows(purchases), _rows(cancellations)
    stacks: dict[tuple[str, str], list[list[int]]] = {}  # user and item -> [place in bought, pieces left], newest last
    left: dict[int, int] = {}
    ended: dict[int, int] = {}
    pieces: list[tuple[int, int, int, bool]] = []  # place in bought, pieces, time, whether nothing is left
    counts = dict.fromkeys(("matched", "partly_matched", "unmatched", "pieces", "unmatched_pieces"), 0)
    at = 0
    for time, user, item, quantity, _ in back:
        while at < len(bought) and bought[at][0] <= time:
            stacks.setdefault(bought[at][1:3], []).append([at, bought[at][3]])
            at += 1
        open_ = quantity
        stack = stacks.get((user, item), [])
        while open_ and stack:
            taken = min(open_, stack[-1][1])
            open_ -= taken
            stack[-1][1] -= taken
            left[stack[-1][0]] = stack[-1][1]
            pieces.append((stack[-1][0], taken, time, not stack[-1][1]))
            if not stack[-1][1]:
                ended[stack.pop()[0]] = time
        counts["pieces"] += quantity - open_
        counts["unmatched_pieces"] += open_
        counts["matched" if not open_ else "unmatched" if open_ == quantity else "partly_matched"] += 1
    touched = sorted(left)
    counts |= {"rows": len(back), "purchases_reduced": len(touched), "purchases_cancelled": len(ended)}
    columns = [
        pa.array([bought[place][4] for place in touched], pa.string()),
        pa.array([left[place] for place in touched], pa.int64()),
        pa.array([ended.get(place) for place in touched], pa.int64()).cast(UTC_US),
    ]
    names = [bought[place][4] for place, *_ in pieces]
    return Netting(pa.Table.from_arrays(columns, schema=NETTED_SCHEMA), _pieces(names, pieces), counts)


def apply(rows: pa.Table, purchases: pa.Array, netted: pa.Table) -> tuple[pa.Array, pa.Array]:
    """``net_quantity`` and ``cancelled_at`` of each row, from the ``purchases`` of a ``Netting``.

    ``purchases``: bool, which rows are; no other is looked up.
    """
    net_quantity = rows[Col.QUANTITY].to_numpy().copy()
    cancelled_at = np.full(len(rows), np.datetime64("NaT"), "datetime64[us]")
    if len(netted):
        bought = np.flatnonzero(purchases)
        place = pc.index_in(rows[Col.EVENT_ID].take(bought), netted[Col.EVENT_ID].combine_chunks())
        touched = bought[place.is_valid().to_numpy()]
        found = netted.take(place.drop_null())
        net_quantity[touched] = found[Col.NET_QUANTITY].to_numpy()
        cancelled_at[touched] = found[Col.CANCELLED_AT].cast(pa.timestamp("us")).to_numpy()
    return pa.array(net_quantity), pa.array(cancelled_at, pa.timestamp("us")).cast(UTC_US)


def described(pieces: pa.Table, purchases: pa.Table) -> pa.Table:
    """The ``pieces`` of a ``Netting`` with what is known of their purchases, as TAKEN_BACK_SCHEMA.

    ``purchases``: prepared interactions, among them all that lost pieces.
    """
    of = purchases.take(pc.index_in(pieces[Col.EVENT_ID], purchases[Col.EVENT_ID].combine_chunks()))
    columns = [(pieces if name in pieces.column_names else of)[name] for name in TAKEN_BACK_SCHEMA.names]
    return pa.Table.from_arrays(columns, schema=TAKEN_BACK_SCHEMA)


def _pieces(names: list[str], pieces: list[tuple[int, int, int, bool]]) -> pa.Table:
    _, taken, times, whole = zip(*pieces, strict=True) if pieces else ((), (), (), ())
    columns = [
        pa.array(names, pa.string()),
        pa.array(taken, pa.int64()),
        pa.array(times, pa.int64()).cast(UTC_US),
        pa.array(whole, pa.bool_()),
    ]
    return pa.Table.from_arrays(columns, schema=PIECES_SCHEMA)


def _rows(table: pa.Table) -> list[tuple[int, str, str, int, str]]:
    """(microseconds since 1970, user, item, quantity, event id) of each row."""
    times = table[Col.TIMESTAMP].cast(pa.int64()).to_pylist()
    rest = (table[name].to_pylist() for name in (Col.USER_ID, Col.ITEM_ID, Col.QUANTITY, Col.EVENT_ID))
    return list(zip(times, *rest, strict=True))
