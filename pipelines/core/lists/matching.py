"""Which items are meant: by id, category, price. ``at``: positions of items, or all of them."""

from collections.abc import Iterable

import numpy as np

from pipelines.core.lists.cards import Cards
from pipelines.core.models.interactions import positions

At = np.ndarray | slice


def named(item_ids: np.ndarray, wanted: Iterable[str], at: At) -> np.ndarray:
    """bool: whether each of the items ``at`` of ``item_ids`` (sorted) is one of those ``wanted``."""
    place = positions(item_ids, list(wanted))
    if not isinstance(at, slice):
        return np.isin(at, place)
    found = np.zeros(len(item_ids), bool)
    found[place[place >= 0]] = True
    return found


def in_categories(cards: Cards, categories: Iterable[str], at: At) -> np.ndarray:
    """bool: whether each of the items ``at`` is in one of these; those without a category are in none."""
    meant = np.zeros(len(cards.categories) + 1, bool)  # the last one is of items without a category: their code is -1
    meant[[cards.categories[name] for name in categories if name in cards.categories]] = True
    return meant.take(cards.codes[at], mode="wrap")  # twice as fast as an index


def priced(cards: Cards, low: float | None, high: float | None, at: At) -> np.ndarray:
    """bool: whether the price of each of the items ``at`` lies in [low, high]; one without a price lies nowhere."""
    price = cards.price[at]
    found: np.ndarray = price >= (-np.inf if low is None else low)
    return found if high is None else found & (price <= high)
