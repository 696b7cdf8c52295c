"""Why an item is shown, in words a shopper understands; each follows from the source that proposed it."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipelines.core.lists.arrangement import EXPLORATION
from pipelines.core.lists.because import led_by
from pipelines.core.lists.live_history import among
from pipelines.core.models.histories import Histories
from serving.snapshot import Snapshot

PINNED: Final = "pinned"
"""In place of the source of an item that stands where a rule put it."""
TASTE: Final = "liked by people with similar taste"
GENERAL: Final = {
    "svd": TASTE,
    "svd_taste": TASTE,
    "als": TASTE,
    "item_item": "goes with items you viewed",
    "covisitation": "often viewed after items you viewed",
    "content": "similar to items you viewed",
    "popularity": "popular now",
    "popularity_always": "always popular",
    "category_popularity": "popular in a category you like",
    "again": "you had it before",
    EXPLORATION: "new in the shop",
    PINNED: "selected by the shop",
}
LED: Final = {
    "item_item": ("item_item", "goes with “{}”"),
    "covisitation": ("covisitation", "because you viewed “{}”"),
    "content": ("content", "similar to “{}”"),
    EXPLORATION: ("content", "new, and similar to “{}”"),
}
"""Source -> the source that knows which item led there, and what is said then."""
BOUGHT: Final = "often bought with “{}”"
"""Of the regression on items alike, where the item that led there was bought."""
PURCHASE: Final = "purchase"
POPULAR: Final = ("popularity", "category_popularity")
TRENDING: Final = 1.5
"""Users a day of the last quarter of a window over those of the whole window, from which on an item is trending."""


def reasons(
    snapshot: Snapshot, history: Histories, item_idx: np.ndarray, sources: Sequence[str], trend: np.ndarray
) -> list[str]:
    """One reason an item, for the user with this ``history``.

    ``sources``: what proposed each of ``item_idx`` [m], or EXPLORATION or PINNED; ``trend`` float32 [m]: the signal
    ``item_trend_quarter_one``.
    """
    told = [GENERAL.get(source, "recommended for you") for source in sources]
    for source in LED.keys() & set(sources):
        rows = [n for n, name in enumerate(sources) if name == source]
        for n, text in zip(rows, _led(snapshot, history, item_idx[rows], source), strict=True):
            told[n] = text or told[n]
    for n, source in enumerate(sources):
        if source in POPULAR:
            told[n] = _popular(snapshot.cards.category[item_idx[n]], trend[n], told[n])
    return told


def _led(snapshot: Snapshot, history: Histories, item_idx: np.ndarray, source: str) -> list[str | None]:
    """What names the item that led to each of ``item_idx``; None where none did."""
    knows, text = LED[source]
    if knows not in snapshot.bundle.sources:
        return [None] * len(item_idx)
    led = led_by(snapshot.bundle.sources[knows], history, item_idx)
    bought = _bought(snapshot, history, led) if source == "item_item" else np.zeros(len(led), bool)
    return [
        (BOUGHT if was_bought else text).format(snapshot.cards.title[by]) if by >= 0 else None
        for by, was_bought in zip(led.tolist(), bought.tolist(), strict=True)
    ]


def _bought(snapshot: Snapshot, history: Histories, items: np.ndarray) -> np.ndarray:
    """bool [m]: whether the user did as much with these items as to have bought them."""
    least = snapshot.bundle.manifest["params"].get("event_weights", {}).get(PURCHASE)
    if least is None:
        return np.zeros(len(items), bool)
    return among(history.item_idx[history.weight >= least], items)


def _popular(category: str | None, trend: float, usual: str) -> str:
    trending = bool(trend >= TRENDING)
    if category is None:
        return "trending now" if trending else usual
    return f"{'trending' if trending else 'popular'} in {category}"
