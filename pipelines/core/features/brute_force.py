"""What the feature views promise, counted event by event: slow, plain, and without a line of the code it checks.

Times are microseconds since 1970 (UTC). A feature at a midnight knows the events strictly before it; a window of w
days holds those of [midnight - w, midnight). The promises are written down in data/README.md.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipelines.core.columns import Col
from pipelines.core.features.feature_views import KINDS, RECENT_ITEMS, VIEWS

DAY: Final = 86_400_000_000
ALL: Final = "all"
NET: Final = ("user_activity_v2", "item_activity_v2", "user_item_activity_v2", "user_category_activity_v1")
"""Views in which a cancellation counts from the midnight after it; in the others a purchase counts as it was made."""

Values = dict[str, Any]
"""Feature -> value."""

LATER: Final[dict[str, Callable[[Mapping[str, Values]], Values]]] = {}
"""View that came after those of ``NET`` -> what it has that is new or means something else, from sums by window."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, or the cancellation of pieces of a purchase; ``taken_back`` is what cancellations took of it."""

    event_id: str
    user_id: str
    item_id: str
    kind: str
    at: int
    quantity: int
    category: str | None = None
    cents: int | None = None
    taken_back: list[tuple[int, int]] = field(default_factory=list)
    """(when, pieces)."""

    def pieces(self, t: int, net: bool) -> int:
        """How many pieces are left of it before ``t``."""
        return self.quantity - (sum(pieces for at, pieces in self.taken_back if at < t) if net else 0)


@dataclass(frozen=True, slots=True)
class State:
    """What the catalogue said of an item from ``valid_from`` on."""

    valid_from: int
    values: Mapping[str, Any]


def cents(price: float | None) -> int | None:
    """A price in minor units; halves are rounded up."""
    if price is None:
        return None
    whole = math.floor(price * 100)
    return whole + (price * 100 - whole >= 0.5)


def state_at(states: Sequence[State], at: int) -> State | None:
    """The newest of an item's states (in the order of time); before the first one that, for there is no older truth."""
    return next((state for state in reversed(states) if state.valid_from <= at), states[0] if states else None)


def take_back(purchases: Iterable[Happened], cancellations: Iterable[Happened]) -> None:
    """Let each cancellation take its pieces from the same user's latest purchases of the item up to its time.

    Last in, first out; pieces for which no purchase is left take nothing.
    """
    bought: dict[tuple[str, str], list[Happened]] = {}
    for purchase in sorted(purchases, key=_order):
        bought.setdefault((purchase.user_id, purchase.item_id), []).append(purchase)
    for back in sorted(cancellations, key=_order):
        pieces = back.quantity
        for purchase in reversed(bought.get((back.user_id, back.item_id), [])):
            left = purchase.quantity - sum(taken for _, taken in purchase.taken_back)
            taken = min(pieces, left) if purchase.at <= back.at else 0
            if taken:
                purchase.taken_back.append((back.at, taken))
                pieces -= taken


def activity(view: str, events: Iterable[Happened], t: int) -> Values | None:
    """The features of ``view`` at the midnight ``t`` for the entity whose events these are; None before the first."""
    past = [event for event in events if event.at < t]
    return _features(view, past, t) if past else None


def nothing(view: str) -> Values:
    """The features of an entity of which nothing is left: late corrections took its last event away."""
    return _features(view, [], 0) if view != "item_profile_v1" else dict.fromkeys(VIEWS[view].features)


def _features(view: str, past: Sequence[Happened], t: int) -> Values:
    if view == "user_recent_items_v1":
        return {"recent_items": _recent_items(past)}
    sums = {window: _sums(past, window, t, view in NET or view in LATER) for window in ("1d", "7d", "30d", ALL)}
    known = {"last_event_epoch_s": _last(past), **_rates(sums)}
    known["last_purchase_epoch_s"] = _last([event for event in past if event.kind == KINDS["purchases"]])
    for window, found in sums.items():
        known |= {f"{name}_{window}": value for name, value in found.items()}
    if view in LATER:
        known |= LATER[view](sums)
    return {name: known[name] for name in VIEWS[view].features}


def profile(states: Sequence[State], first: int | None, until: int, at: int) -> Values | None:
    """What item_profile_v1 says at ``at`` of the item with these states, in the order of time.

    ``first``: its first event that counts; ``until``: the last midnight that features know.
    """
    if not states:
        return None
    since = min(midnight(states[0].valid_from), until, until if first is None else midnight(first))
    known = [State(since, states[0].values), *(state for state in states[1:] if state.valid_from <= until)]
    state = state_at(known, at)
    if state is None or at < since:
        return None
    features = {name: state.values.get(name) for name in VIEWS["item_profile_v1"].features}
    return features | {"first_seen_epoch_s": since // 1_000_000}


def unlisted(item_id: str, first: int) -> State:
    """What is known of an item with events, the first then, that the catalogue doesn't have."""
    return State(midnight(first), {Col.TITLE: item_id, "in_stock": True})


def midnight(at: int) -> int:
    """The beginning of the day (UTC) of ``at``."""
    return at - at % DAY


def _order(event: Happened) -> tuple[int, str]:
    return event.at, event.event_id


def _last(events: Sequence[Happened]) -> int | None:
    return max(event.at for event in events) // 1_000_000 if events else None


def _recent_items(events: Iterable[Happened]) -> list[str]:
    """The last different items, latest first."""
    latest_first = [event.item_id for event in sorted(events, key=_order, reverse=True)]
    return list(dict.fromkeys(latest_first))[:RECENT_ITEMS]


def _sums(events: Iterable[Happened], window: str, t: int, net: bool) -> dict[str, Any]:
    """Everything that is summed over a window, under the names that the features have before it."""
    since = t - int(window.removesuffix("d")) * DAY if window != ALL else None
    kinds: Counter[str] = Counter()
    items, users = set(), set()
    money = price = priced = 0
    for event in events:
        if since is not None and event.at < since:
            continue
        items.add(event.item_id)
        users.add(event.user_id)
        pieces = event.pieces(t, net)
        kinds[event.kind] += pieces > 0
        if event.cents is not None:
            price, priced = price + event.cents, priced + 1
            money += event.cents * pieces if event.kind == KINDS["purchases"] else 0
    return {
        **{name: kinds[kind] for name, kind in KINDS.items()},
        "spend": money,
        "revenue": money,
        "mean_price": price / priced if priced else None,
        "priced": priced,
        "distinct_items": len(items),
        "distinct_users": len(users),
    }


def _rates(sums: Mapping[str, Mapping[str, Any]]) -> Values:
    month, week = sums["30d"], sums["7d"]
    looks = month["views"] + month["clicks"]
    n_week, n_month = (sum(s[name] for name in ("views", "clicks", "carts", "purchases")) for s in (week, month))
    return {
        "cart_rate_30d": (month["carts"] + 1) / (looks + 20),
        "conversion_30d": (month["purchases"] + 1) / (looks + 20),
        "trend_7d_30d": (n_week / 7 + 0.1) / (n_month / 30 + 0.1),
    }
