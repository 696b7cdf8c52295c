"""Why an item is shown, in words a shopper understands; each follows from the source that proposed it."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipelines.core import covisitation
from serving.snapshot import Snapshot

TEXTS: Final = {
    "svd": "liked by people with similar taste",
    "covisitation": "often viewed after items you viewed",
    "popularity": "popular now",
}


def reasons(snapshot: Snapshot, user_idx: int, item_idx: np.ndarray, sources: Sequence[str]) -> list[str]:
    """One reason an item; co-visitation names the item that led there."""
    told = [TEXTS.get(source, "recommended for you") for source in sources]
    named = [n for n, source in enumerate(sources) if source == "covisitation"]
    if named:
        led = covisitation.led_by(snapshot.bundle.sources["covisitation"], user_idx, item_idx[named])
        for n, by in zip(named, led.tolist(), strict=True):
            if by >= 0:
                told[n] = f"often viewed after “{snapshot.cards.title[by]}”"
    return told
