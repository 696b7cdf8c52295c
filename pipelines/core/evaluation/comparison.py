"""Compare rankings of the same users: metrics by cut-off, and how sure they and their differences are."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pipelines.core.evaluation import resampling
from pipelines.core.models import metrics, scoring, search
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates
from pipelines.core.models.interactions import positions
from pipelines.core.models.labels import Examples

ALL_TIME = "popularity_all_time"
OURS = "recomart"
BASELINE = "popularity"
CHAMPION = "champion"

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Relevance:
    """CSR users by items of what was relevant; items that the bundle doesn't know come after its own."""

    user_ids: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """int [users]: relevant items of each user."""
        return np.diff(self.indptr)

    def only(self, wanted: np.ndarray) -> "Relevance":
        """The relevant items for which ``wanted`` bool [nnz]; all users stay, also those left with none."""
        left = np.append(0, np.cumsum(wanted))[self.indptr]
        return Relevance(self.user_ids, left, self.indices[wanted])


@dataclass(frozen=True)
class Estimate:
    """A mean over users with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """Ours less another's mean over the same users, with its 95 % interval and the p-value of a paired test."""

    difference: float
    low: float
    high: float
    p: float

    @property
    def words(self) -> str:
        """Whether ours is better."""
        return "beats" if self.low > 0 else "is worse than" if self.high < 0 else "can't be told apart from"


def relevance(bundle: Bundle, user_ids: np.ndarray, item_ids: np.ndarray) -> Relevance:
    """From pairs (user_ids[i], item_ids[i]), sorted by user."""
    users, count = np.unique(user_ids, return_counts=True)
    indices = positions(bundle.item_ids, item_ids)
    unknown = indices < 0
    indices[unknown] = len(bundle.item_ids) + np.unique(item_ids[unknown], return_inverse=True)[1]
    return Relevance(users, np.append(0, np.cumsum(count)), indices)


def scores(bundle: Bundle, examples: Examples, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Model -> float32 [n], the scores of the candidates: RecoMart's by the scoring path of the service, then each
    source's own order. ``inputs``: what ``scoring.inputs`` makes of the examples.
    """
    by_source = dict(zip(bundle.manifest["sources"], -examples.candidates.source_ranks.T, strict=True))
    return {OURS: scoring.score(bundle, inputs), **by_source}


def rankings(bundle: Bundle, examples: Examples, k: int, scored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Model -> int32 [B, k] item positions as ``best`` gives them, by its ``scores``; and what most users had, ever."""
    lists = {name: best(examples.candidates, values, k) for name, values in scored.items()}
    return {**lists, ALL_TIME: all_time(bundle, examples.user_ids, k)}


def best(candidates: Candidates, scores: np.ndarray, k: int) -> np.ndarray:
    """int32 [B, k] item positions, best first, -1 where a list has ended."""
    top = scoring.top_k(candidates, scores, k)
    table = np.full((candidates.users, k), -1, np.int32)
    table[top.user_pos, top.rank] = top.item_idx
    return table


def all_time(bundle: Bundle, user_ids: np.ndarray, k: int) -> np.ndarray:
    """int32 [B, k]: what most users have interacted with, ever; less what this one has, unless things repeat."""
    histories = bundle.histories.take(positions(bundle.user_ids, user_ids))
    users = np.bincount(bundle.histories.item_idx, minlength=len(bundle.item_ids)).astype(np.float32)
    dense = np.tile(users, (histories.users, 1))
    if not bundle.repeats:
        scoring.mask_seen(histories, dense)
    row, item, place = search.best_cells(dense, k)
    table = np.full((histories.users, k), -1, np.int32)
    table[row, place] = item
    return table


def by_k(ranked: np.ndarray, relevance: Relevance, n_items: int, ks: Sequence[int]) -> dict[int, dict[str, float]]:
    """Cut-off -> metric -> value, for a ranking int32 [users, ≥max(ks)]."""
    hits = metrics.hits(ranked, relevance.indptr, relevance.indices)
    return {k: metrics.summary(ranked, hits, relevance.count, n_items, k) for k in ks}


def each(
    ranked: np.ndarray, relevance: Relevance, names: Sequence[str], ks: Iterable[int]
) -> dict[tuple[str, int], np.ndarray]:
    """(metric, cut-off) -> float64 [users], NaN of those without relevant items; ``ranked`` as in ``by_k``."""
    hits = metrics.hits(ranked, relevance.indptr, relevance.indices)
    found = {k: metrics.per_user(hits, np.maximum(relevance.count, 1), k) for k in ks}
    counted = relevance.count > 0
    return {(name, k): np.where(counted, of_user[name], np.nan) for name in names for k, of_user in found.items()}


def values(ranked: np.ndarray, relevance: Relevance, metric: str, k: int) -> np.ndarray:
    """float64 [users]: ``metric``@``k`` of each user; NaN of those without relevant items."""
    return each(ranked, relevance, [metric], [k])[metric, k]


def estimates(values: Mapping[Name, np.ndarray], rng: np.random.Generator) -> dict[Name, Estimate]:
    """Name -> mean and interval of its ``values`` float64 [users], at least one; all on the same draws of users."""
    columns = np.stack(list(values.values()), axis=1)
    rows = zip(columns.mean(axis=0), *resampling.interval(resampling.means(columns, rng)), strict=True)
    return {name: Estimate(*map(float, row)) for name, row in zip(values, rows, strict=True)}


def verdicts(values: Mapping[str, np.ndarray], rng: np.random.Generator, ours: str = OURS) -> dict[str, Verdict]:
    """Every other name -> how ``ours`` compares with it, on ``values`` float64 [users] of the same users."""
    others = [name for name in values if name != ours]
    gaps = np.stack([values[ours] - values[name] for name in others], axis=1)
    low, high = resampling.interval(resampling.means(gaps, rng))
    rows = zip(gaps.mean(axis=0), low, high, resampling.p_values(gaps, rng), strict=True)
    return {name: Verdict(*map(float, row)) for name, row in zip(others, rows, strict=True)}


def difference(
    one: np.ndarray, other: np.ndarray, rng: np.random.Generator, rounds: int = resampling.ROUNDS
) -> tuple[float, float, float]:
    """(mean of one - other [users], bounds of its 95 % interval by a paired bootstrap over users)."""
    gap = one - other
    low, high = resampling.interval(resampling.means(gap[:, None], rng, rounds))
    return float(gap.mean()), float(low[0]), float(high[0])
