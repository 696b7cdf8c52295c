"""The simulated shop's clickstream as CSV lines, with a share of dirty rows as real logs have them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from pipelines.core.columns import EVENT_TYPES
from pipelines.core.simulation.behaviour import CLICK, DEVICES, VIEW, Day, Users, make_users, simulate_day
from pipelines.core.simulation.items import Items, make_items, products

HEADER: Final = (
    "user_id", "product_id", "event_type", "timestamp", "device", "session_id", "quantity", "price", "event_id",
)  # fmt: skip
DIRTY_SHARE: Final = 0.01
WITHOUT_SESSION: Final = 0.04
"""Share of sessions whose log has no session id, as of visitors who refuse cookies."""

SPOILT: Final = {
    "missing_user": ("user_id", ("",)),
    "missing_item": ("product_id", ("",)),
    "unknown_product": ("product_id", ("P-DISCONTINUED", "X0000")),
    "unknown_event_type": ("event_type", ("wishlist", "hover", "?")),
    "unparsable_timestamp": ("timestamp", ("not a time", "2026-13-45T25:61:00Z", "")),
    "future_timestamp": ("timestamp", ("2199-01-01T00:00:00Z",)),
    "bad_quantity": ("quantity", ("0", "-1", "many")),
    "negative_price": ("price", ("-9.99",)),
}
"""Kind of dirty row -> the column that is spoilt, and with what."""
DUPLICATES: Final = ("duplicate_row", "repeated_event_id")
GARBAGE: Final = "garbage_line"
KINDS: Final = (*SPOILT, *DUPLICATES, GARBAGE)

Columns = dict[str, pa.Array]


@dataclass
class Shop:
    """A seeded shop and its log of ``days`` days up to and including ``end`` (UTC).

    ``files`` draws the log; ``counts`` tells what it held so far.
    """

    n_users: int
    n_items: int
    days: int
    seed: int
    end: date
    counts: dict[str, Any] = field(default_factory=lambda: {"rows": 0, "events": 0, "dirty": dict.fromkeys(KINDS, 0)})

    def __post_init__(self) -> None:
        world, catalogue, *self._by_day = map(np.random.default_rng, SeedSequence(self.seed).spawn(self.days + 2))
        self.items: Items = make_items(self.n_items, self.days, world)
        self.users: Users = make_users(self.n_users, self.days, world)
        self.products = products(self.items, self.days, catalogue)

    def files(self) -> Iterator[tuple[date, bytes]]:
        """Each day and the bytes of its CSV file; one day is in memory at a time."""
        users, items = pa.array(self.users.ids), pa.array(self.items.ids)
        for number, rng in enumerate(self._by_day):
            day = self.end - timedelta(days=self.days - 1 - number)
            events = simulate_day(self.users, self.items, number, day.weekday(), rng)
            columns = _columns(events, users, items, self.items.prices(number), number, day, rng)
            lines = _with_dirt(columns, number, self.counts["dirty"], rng)
            self.counts["events"] += len(events.user)
            self.counts["rows"] += len(lines)
            yield day, "\n".join([",".join(HEADER), *lines.to_pylist(), ""]).encode()


def _columns(
    events: Day, users: pa.Array, items: pa.Array, prices: NDArray[np.float64], number: int, day: date, rng: Generator
) -> Columns:
    """The events as text columns; views and clicks carry neither quantity nor price."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    at = pa.array(midnight * 1000 + (events.second * 1000).astype(np.int64), pa.timestamp("ms"))
    browsing = pa.array((events.event_type == VIEW) | (events.event_type == CLICK))
    anonymous = rng.random(int(events.session.max(initial=0)) + 1) < WITHOUT_SESSION
    return {
        "user_id": users.take(events.user),
        "product_id": items.take(events.item),
        "event_type": pa.array(EVENT_TYPES).take(events.event_type),
        "timestamp": pc.binary_join_element_wise(pc.strftime(at, format="%Y-%m-%dT%H:%M:%S"), "Z", ""),
        "device": pa.array(DEVICES).take(events.device),
        "session_id": pc.if_else(pa.array(anonymous[events.session]), "", _numbered("S", number, events.session)),
        "quantity": pc.if_else(browsing, "", pa.array(events.quantity).cast(pa.string())),
        "price": pc.if_else(browsing, "", pa.array(prices[events.item]).cast(pa.string())),
        "event_id": _numbered("E", number, np.arange(len(events.user))),
    }


def _numbered(prefix: str, day: int, number: NDArray[np.int64]) -> pa.Array:
    text = pc.utf8_lpad(pa.array(number).cast(pa.string()), 6, padding="0")
    return pc.binary_join_element_wise(f"{prefix}{day:04d}-", text, "")


def _with_dirt(columns: Columns, number: int, counts: dict[str, int], rng: Generator) -> pa.Array:
    """The rows as CSV lines with dirty rows after the good ones they were made from; adds to ``counts``."""
    n = len(columns["user_id"])
    drawn = rng.multinomial(rng.binomial(n, DIRTY_SHARE), np.full(len(KINDS), 1 / len(KINDS)))
    lines, after = [_lines(columns)], [np.arange(n)]
    serial = 0
    for kind, count in zip(KINDS, drawn.tolist(), strict=True):
        source = np.sort(rng.choice(n, size=count, replace=False))
        copies = {name: column.take(source) for name, column in columns.items()}
        if kind in SPOILT:
            name, values = SPOILT[kind]
            copies[name] = pa.array(values).take(rng.integers(len(values), size=count))
        if kind == "repeated_event_id":
            copies["device"] = pc.if_else(pc.equal(copies["device"], "tablet"), "desktop", "tablet")
        if kind not in DUPLICATES:
            copies["event_id"] = _numbered("D", number, np.arange(serial, serial + count))
            serial += count
        lines.append(_lines(copies) if kind != GARBAGE else _garbage(copies, rng))
        after.append(source)
        counts[kind] += count
    return pa.concat_arrays(lines).take(np.argsort(np.concatenate(after), kind="stable"))


def _lines(columns: Columns) -> pa.Array:
    return pc.binary_join_element_wise(*(columns[name] for name in HEADER), ",")


def _garbage(columns: Columns, rng: Generator) -> pa.Array:
    """Lines with too few fields (a torn write) or too many."""
    torn = pc.binary_join_element_wise(columns["user_id"], columns["product_id"], ",")
    long = pc.binary_join_element_wise(_lines(columns), "x", "y", ",")
    return pc.if_else(pa.array(rng.random(len(torn)) < 0.5), torn, long)
