"""Which items may be shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.interactions import positions
from serving.snapshot import Snapshot


@dataclass(frozen=True)
class Query:
    """What somebody asks for; the meaning of the fields is that of ``schemas.RecommendIn``."""

    user_id: str
    k: int
    exclude: Sequence[str] = ()
    categories: Sequence[str] | None = None
    min_price: float | None = None
    max_price: float | None = None
    in_stock: bool = True


def allowed(snapshot: Snapshot, query: Query) -> np.ndarray:
    """bool [items]: what the query's filters let through. An item without a price lies in no price range."""
    cards = snapshot.cards
    keep = cards.in_stock.copy() if query.in_stock else np.ones(len(cards.price), bool)
    if query.exclude:
        at = positions(snapshot.bundle.item_ids, query.exclude)
        keep[at[at >= 0]] = False
    if query.categories is not None:
        keep &= np.isin(cards.codes, [cards.categories[c] for c in query.categories if c in cards.categories])
    if query.min_price is not None:
        keep &= cards.price >= query.min_price
    if query.max_price is not None:
        keep &= cards.price <= query.max_price
    return keep
