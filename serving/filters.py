"""Which items may be shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.lists import matching
from pipelines.core.lists.matching import At
from pipelines.io.models.shop_rules import Active
from serving.snapshot import Snapshot


@dataclass(frozen=True)
class Query:
    """What somebody asks for; the meaning of the fields is that of ``schemas.RecommendIn``."""

    user_id: str | None
    k: int
    recent_items: Sequence[str] = ()
    exclude: Sequence[str] = ()
    categories: Sequence[str] | None = None
    exclude_categories: Sequence[str] = ()
    min_price: float | None = None
    max_price: float | None = None
    in_stock: bool = True
    shown: Sequence[str] = ()
    diversity: float = 0.0
    max_per_category: int | None = None
    explain: bool = False
    device: str | None = None


def allowed(
    snapshot: Snapshot, query: Query, active: Active | None = None, among: np.ndarray | None = None
) -> np.ndarray:
    """bool [items], or [n] for the items ``among`` (int [n]) alone: what the filters and the hiding rules let through.

    It can't be written to: where a query asks for no more than items in stock, all get the same array. An item without
    a price lies in no price range, one without a category in no category. ``active``: the rules in force.
    """
    at: At = slice(None) if among is None else among
    keep = _open(snapshot, query.in_stock, active)[at]
    for passed in _asked(snapshot, query, at):
        keep = keep & passed
    keep = keep.view()
    keep.flags.writeable = False
    return keep


def _open(snapshot: Snapshot, in_stock: bool, active: Active | None) -> np.ndarray:
    """bool [items]: what may be shown where nothing more is asked."""
    stocked = snapshot.cards.in_stock
    if active is not None and active.visible is not None:
        return active.visible[in_stock]
    return stocked if in_stock else np.broadcast_to(np.True_, stocked.shape)


def _asked(snapshot: Snapshot, query: Query, at: At) -> Iterator[np.ndarray]:
    """What each filter of the query lets through of the items ``at``."""
    cards = snapshot.cards
    if query.exclude or query.shown:
        yield ~matching.named(snapshot.bundle.item_ids, [*query.exclude, *query.shown], at)
    if query.categories is not None:
        yield matching.in_categories(cards, query.categories, at)
    if query.exclude_categories:
        yield ~matching.in_categories(cards, query.exclude_categories, at)
    if query.min_price is not None or query.max_price is not None:
        yield matching.priced(cards, query.min_price, query.max_price, at)
