"""From scored candidates to the list that is shown: the one function for a request, a batch and the replay of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.core.models import diversity
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates
from pipelines.core.models.diversity import Vectors

EXPLORATION: Final = "exploration"
"""The source of an item that is shown to learn whether anybody wants it."""
SPREAD: Final = 2
"""To somebody unknown so many popular items of a category are shown before other categories have their turn."""
CONTENT: Final = "content"
"""The source that scores items which few have met."""


@dataclass(frozen=True)
class Arrangement:
    """How a list is made; plain values, so that a log can keep them."""

    k: int
    diversity: float = 0.0
    """Trade-off of MMR, 0..1; 0 is by score."""
    max_per_category: int | None = None
    pins: tuple[tuple[int, int], ...] = ()
    """(place from 0, item)."""
    explore: float = 0.0
    """Share of the places, 0..1, for items that few have met."""
    seed: int = 0
    """Of what is drawn: the same seed gives the same list."""
    spread: int | None = None
    """So many items of a category before the other categories have their turn."""


def arranged(
    how: Arrangement,
    item_idx: np.ndarray,
    scores: np.ndarray,
    keep: np.ndarray,
    category: np.ndarray,
    fresh: np.ndarray | None = None,
    vectors: Vectors | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows int64 [m <= k] of the candidates, best first; bool [m]: which of them are there to explore).

    ``item_idx`` int [n]; ``scores`` float32 [n], NaN is never shown; ``keep`` bool [n]: nothing else is shown, pinned
    or not; ``category`` int32 [n], -1 where unknown, which no cap touches; ``fresh``: as below; ``vectors``: as
    ``diversity.vectors``, needed where there is a trade-off. Equal scores stand in the order of items. Pins count
    towards a category's cap, but stand beyond it.
    """
    open_ = np.flatnonzero(keep & ~np.isnan(scores))
    order = open_[np.lexsort((item_idx[open_], -scores[open_]))]
    fixed = _pinned(how, item_idx, order)
    explored = _explored(how, fixed, order, category, fresh) if how.explore and fresh is not None else {}
    fixed |= explored
    if fixed:
        order = order[~np.isin(order, list(fixed.values()))]
    if how.spread:
        order = order[diversity.interleave(category[order], how.spread)]
    rest = _chosen(how, order, list(fixed.values()), item_idx, scores, category, vectors)
    if not fixed:
        return rest, np.zeros(len(rest), bool)
    rows = np.array(_merged(fixed, rest.tolist(), how.k), np.int64)
    return rows, np.isin(rows, list(explored.values()))


def fresh(bundle: Bundle, candidates: Candidates) -> np.ndarray | None:
    """float32 [n]: how alike a candidate that few have met is to what its user had; NaN for all others.

    None where the bundle's sources know nothing of content.
    """
    names = list(bundle.manifest["sources"])
    return candidates.source_scores[:, names.index(CONTENT)] if CONTENT in names else None


def _chosen(
    how: Arrangement,
    order: np.ndarray,
    given: Sequence[int],
    item_idx: np.ndarray,
    scores: np.ndarray,
    category: np.ndarray,
    vectors: Vectors | None,
) -> np.ndarray:
    """The rows of ``order`` that take the places beside those ``given``."""
    n, fixed = how.k - len(given), np.array(given, np.int64)
    best = order
    if how.max_per_category:
        best = order[diversity.capped(category[order], how.max_per_category, category[fixed])]
    if how.diversity and vectors is not None:
        pool = order[: diversity.pool(how.k)]
        # a list is full where it can be: what the caps let through may stand far down
        rows = np.concatenate([fixed, pool, best[:n][~np.isin(best[:n], pool)]])
        found = diversity.mmr(
            _relevance(how, scores[rows]),
            vectors(item_idx[rows]),
            category[rows],
            n,
            how.diversity,
            how.max_per_category,
            range(len(given)),
        )
        return rows[found]
    return best[:n]


def _relevance(how: Arrangement, scores: np.ndarray) -> np.ndarray:
    """The scores; where the categories take turns, it is the turn that counts."""
    return np.arange(len(scores), 0.0, -1.0) if how.spread else scores.astype(np.float64)


def _pinned(how: Arrangement, item_idx: np.ndarray, order: np.ndarray) -> dict[int, int]:
    """Place → row of the pins that may be shown; where a place is taken, the next free one."""
    fixed: dict[int, int] = {}
    for place, item in sorted(how.pins):
        found = order[item_idx[order] == item]
        while place in fixed:
            place += 1
        if len(found) and place < how.k and int(found[0]) not in fixed.values():
            fixed[place] = int(found[0])
    return fixed


def _explored(
    how: Arrangement, fixed: dict[int, int], order: np.ndarray, category: np.ndarray, fresh: np.ndarray
) -> dict[int, int]:
    """Place → row of items that nobody would see otherwise, drawn in proportion to how alike they are to the user's."""
    rng = np.random.default_rng(how.seed)
    wanted = int(how.k * how.explore + rng.random())
    usual = [*fixed.values(), *order[: how.k].tolist()]
    rows = np.array([row for row in order[fresh[order] > 0].tolist() if row not in usual], np.int64)
    rows = rows[np.argsort(rng.exponential(size=len(rows)) / fresh[rows], kind="stable")]  # the first of Poisson clocks
    if how.max_per_category:
        rows = rows[diversity.capped(category[rows], how.max_per_category, category[list(fixed.values())])]
    free = [place for place in range(how.k) if place not in fixed]
    wanted = min(wanted, len(rows), len(free))
    places = np.sort(rng.permutation(np.array(free, np.int64))[:wanted])
    return dict(zip(places.tolist(), rows.tolist(), strict=False))


def _merged(fixed: dict[int, int], rest: list[int], k: int) -> list[int]:
    """The rows of ``rest`` with those ``fixed`` at their places, or as near to them as there are rows."""
    rows, later = [], iter(rest)
    for place in range(k):
        row = fixed[place] if place in fixed else next(later, None)
        if row is not None:
            rows.append(row)
    return rows
