"""Items that go with an item: what the sources that list neighbours say of it, merged.

By reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR 2009): their scores are of different scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.core.models.bundle import Bundle
from pipelines.core.models.diversity import LISTED

OFFSET: Final = 60.0
TITLE: Final = "title"
"""Where an item comes from that is called and sorted alike."""
CATEGORY: Final = "category"
"""Where one comes from that is popular in the same category."""
BY_TITLE: Final = 300
"""So many of the most alike by title are looked at."""


@dataclass(frozen=True)
class Neighbours:
    """Items [m], best first."""

    item_idx: np.ndarray
    scores: np.ndarray
    """float32, within 0 and 1."""
    sources: Sequence[str]
    """Which one ranks each best."""


def of_item(bundle: Bundle, item: int) -> Neighbours:
    """All that the model's sources list for the item."""
    lists = []
    for name in LISTED:
        if name in bundle.sources:
            arrays = bundle.sources[name]
            part = slice(int(arrays["indptr"][item]), int(arrays["indptr"][item + 1]))
            lists.append((name, best_first(arrays["indices"][part], arrays["data"][part])))
    return merged(lists)


def best_first(item_idx: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The items that score above 0; of equal ones the first."""
    some = np.flatnonzero(scores > 0)
    ordered: np.ndarray = item_idx[some[np.lexsort((item_idx[some], -scores[some]))]]
    return ordered


def by_title(alike: np.ndarray) -> Neighbours:
    """The items most ``alike`` float32 [items]."""
    n = min(BY_TITLE, len(alike))
    best = np.argpartition(-alike, n - 1)[:n] if n else np.zeros(0, np.int64)
    return merged([(TITLE, best_first(best, alike[best]))])


def popular_beside(bundle: Bundle, category: np.ndarray, code: int) -> Neighbours:
    """The items whose ``category`` int32 [items] is ``code``, the most popular first; none where it is unknown."""
    order = bundle.sources["popularity"]["order"]
    found = order[category[order] == code] if code >= 0 else order[:0]
    return Neighbours(found, np.zeros(len(found), np.float32), [CATEGORY] * len(found))


def merged(lists: Sequence[tuple[str, np.ndarray]]) -> Neighbours:
    """One list of several, each (source, items best first), by the mean of 60 / (60 + place), which is at most 1."""
    names = [name for name, _ in lists]
    items = np.concatenate([np.zeros(0, np.int64), *(found for _, found in lists)])
    place = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(found)) for _, found in lists)])
    source = np.repeat(np.arange(len(lists)), [len(found) for _, found in lists])
    unique, which = np.unique(items, return_inverse=True)
    scores = np.bincount(which, OFFSET / (OFFSET + place), len(unique)) / max(len(lists), 1)
    order = np.lexsort((source, place, which))
    first = order[np.searchsorted(which[order], np.arange(len(unique)))]
    best = np.lexsort((unique, -scores))
    told = [names[s] for s in source[first[best]].tolist()]
    return Neighbours(unique[best].astype(np.int64), scores[best].astype(np.float32), told)
