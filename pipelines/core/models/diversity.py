"""Lists that aren't all of a kind: maximal marginal relevance, caps of categories, and turns of categories.

MMR (Carbonell and Goldstein, SIGIR 1998) takes one item after the other: the one with the largest
(1 − t) · relevance − t · likeness to what stands already. Two items are as alike as their factors point the same way
and their categories are the same, half each. Everywhere here rows come best first, and a category of -1 is unknown:
two such items are not of the same.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from pipelines.core.models import factor_index
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.sparse import entries

Vectors = Callable[[np.ndarray], np.ndarray]
"""int [n] items → float32 [n, f], by whose directions items are compared."""

FACTORED: Final = ("als", "svd_taste", "svd")
"""Sources whose item factors tell which items are alike; the first that a model has."""
LISTED: Final = ("item_item", "covisitation", "content")
"""Where it has none of them: sources that list each item's neighbours. Items are alike that share many."""
BUCKETS: Final = 256
"""Of neighbours, by a hash (Weinberger et al., ICML 2009): as many numbers as factors would be."""
POOL_FACTOR: Final = 5
LEAST_POOL: Final = 100
"""Of ``POOL_FACTOR`` · k rows, and at least so many, the list is chosen: what stands lower is never worth it."""


def vectors(bundle: Bundle) -> Vectors:
    """What compares the bundle's items: factors of one of its sources, else their neighbours, else nothing."""
    arrays = next((bundle.sources[name] for name in FACTORED if name in bundle.sources), None)
    if arrays is not None:
        return lambda item_idx: factor_index.rows(arrays, item_idx)
    lists = next((bundle.sources[name] for name in LISTED if name in bundle.sources), None)
    return lambda item_idx: np.zeros((len(item_idx), 1), np.float32) if lists is None else _neighbours(lists, item_idx)


def mmr(
    relevance: np.ndarray,
    vectors: np.ndarray,
    category: np.ndarray,
    n: int,
    trade_off: float,
    most: int | None = None,
    given: Sequence[int] = (),
) -> np.ndarray:
    """int64 [m <= n]: the rows to show, in order; equally good ones in theirs.

    ``relevance`` [r] on any scale; ``vectors`` float32 [r, f]; ``trade_off`` t in 0..1; ``most``: items of one category
    at most; ``given``: rows that are in the list anyway, and count.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    low, high = (relevance.min(), relevance.max()) if len(relevance) else (0.0, 0.0)
    value = (1.0 - trade_off) * (relevance - low) / max(high - low, np.finfo(np.float32).tiny)
    likeness = np.zeros(len(relevance), np.float32)
    counts: dict[int, int] = {}
    chosen: list[int] = []

    def put(row: int) -> None:
        value[row] = -np.inf
        kind = int(category[row])
        alike = np.maximum(unit @ unit[row], 0.0)
        if kind >= 0:
            same = category == kind
            alike += same
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] == most:
                value[same] = -np.inf
        np.maximum(likeness, alike, out=likeness)

    for row in given:
        put(row)
    for _ in range(min(n, len(relevance))):
        best = int(np.argmax(value - (0.5 * trade_off) * likeness))
        if value[best] == -np.inf:
            break
        chosen.append(best)
        put(best)
    return np.array(chosen, np.int64)


def pool(k: int) -> int:
    """How many of the best rows a list of ``k`` is chosen from."""
    return max(POOL_FACTOR * k, LEAST_POOL)


def capped(category: np.ndarray, most: int, given: np.ndarray) -> np.ndarray:
    """bool [n]: rows that are among the first ``most`` of their category, after those ``given`` (their categories)."""
    turn = occurrence(np.concatenate([given, category]))[len(given) :]
    found: np.ndarray = turn < most
    return found


def room(category: np.ndarray, most: int | None) -> int:
    """How many of these items a list may hold."""
    return len(category) if most is None else int(np.count_nonzero(capped(category, most, category[:0])))


def interleave(category: np.ndarray, cap: int) -> np.ndarray:
    """int64 [n]: all rows in order, but of a category never more than ``cap`` before every other had as many."""
    return np.argsort(occurrence(category) // cap, kind="stable")


def occurrence(category: np.ndarray) -> np.ndarray:
    """int64 [n]: how many of the rows before are of the same category; 0 where it is unknown."""
    order = np.argsort(category, kind="stable")
    ordered = category[order]
    turn = np.empty(len(category), np.int64)
    turn[order] = np.arange(len(category)) - np.searchsorted(ordered, ordered)
    return np.where(category < 0, 0, turn)


def _neighbours(arrays: Mapping[str, np.ndarray], item_idx: np.ndarray) -> np.ndarray:
    """float32 [n, BUCKETS]: the items' rows of a CSR matrix, their columns thrown into buckets by a signed hash."""
    row, at = entries(arrays["indptr"], item_idx)
    mixed = arrays["indices"][at].astype(np.uint32) * np.uint32(2654435761)
    sign = np.where(mixed >> np.uint32(31), -1.0, 1.0)
    cell = row * BUCKETS + (mixed >> np.uint32(12)) % np.uint32(BUCKETS)
    summed = np.bincount(cell, arrays["data"][at] * sign, minlength=len(item_idx) * BUCKETS)
    return summed.reshape(len(item_idx), BUCKETS).astype(np.float32)
