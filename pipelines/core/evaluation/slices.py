"""Slices of users and of items: whom a model serves well, and what it finds.

A user's slice goes by its history before the cut. An item slice asks of every user who turned to such an item: of
what they wanted of this slice, how much stood on their lists? All other items of a list count as misses there.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.core.evaluation import comparison
from pipelines.core.evaluation.comparison import Estimate, Relevance
from pipelines.core.models import signals
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.interactions import positions

COLD_ITEMS: Final = 5
"""A user with at most as many items is cold."""
SOME_ITEMS: Final = 20
RESTED: Final = (0.5, 2.0)
"""Label windows since a user's last interaction."""
FEWEST: Final = 0.05
"""Where an edge leaves a smaller share of the users on a side, it tells little, and goes to a quantile instead."""
HEAD: Final = 0.5
TORSO: Final = 0.8
"""Up to these shares of all interactions: the items with most users, then those with some."""
METRICS: Final = ("ndcg", "recall")


@dataclass(frozen=True)
class Slice:
    """Users, or the relevant items of all users."""

    dimension: str
    name: str
    """The same in every run, though the edges may move."""
    meaning: str
    users: np.ndarray | None = None
    """bool [users]."""
    items: np.ndarray | None = None
    """bool [nnz of the relevance]."""


@dataclass(frozen=True)
class Measured:
    """What models do on a slice."""

    part: Slice
    users: int
    """Users of the slice who turned to something of it."""
    models: Mapping[str, Mapping[str, Estimate]]
    """Model -> metric -> value; no model where there are no users."""


def of_users(bundle: Bundle, user_ids: np.ndarray, window_days: float) -> list[Slice]:
    """By the number of items in the history, and by the days since the last interaction."""
    histories = bundle.histories.take(positions(bundle.user_ids, user_ids))
    count = np.diff(histories.indptr)
    rest = np.full(histories.users, np.inf)
    np.minimum.at(rest, histories.user_pos, np.ceil(histories.age_days))
    rest[np.isinf(rest)] = np.nan
    cold = [COLD_ITEMS, *_edges(count[count > COLD_ITEMS], [SOME_ITEMS])]  # cold users stand alone, however few
    days = _edges(rest[~np.isnan(rest)], [max(1, round(length * window_days)) for length in RESTED])
    return [
        *_binned("items in the history", ("cold users", "occasional users", "frequent users"), count, cold),
        *_binned("days since the last interaction", ("recent users", "resting users", "dormant users"), rest, days),
    ]


def of_items(bundle: Bundle, relevance: Relevance, window_days: float) -> list[Slice]:
    """By popularity before the cut, and by how long the item had been known then."""
    n_items, items = len(bundle.item_ids), relevance.indices
    place = np.minimum(items, n_items)  # what the bundle doesn't know comes last
    users = np.bincount(bundle.histories.item_idx, minlength=n_items)
    part = np.append(np.where(users > 0, popularity_parts(users), -1), -1)[place]
    days = np.append(bundle.signals["items"][:, signals.ITEM.index("item_known_days")], np.nan)[place]
    by, age, window = "popularity of the item", "age of the item", f"{window_days:g} days"
    return [
        Slice(by, "head items", f"most users, together {HEAD * 100:.0f} % of pairs of user and item", items=part == 0),
        Slice(by, "torso items", f"the next, up to {TORSO * 100:.0f} %", items=part == 1),
        Slice(by, "tail items", "all others with a user", items=part == 2),
        Slice(age, "established items", f"known for {window} or longer", items=days >= window_days),
        Slice(age, "cold items", f"known for less than {window}", items=days < window_days),
        Slice(age, "unseen items", "first interaction in the window", items=np.isnan(days)),
    ]


def popularity_parts(users: np.ndarray) -> np.ndarray:
    """int8 [items]: 0 head, 1 torso, 2 tail. An item is of the part in which its own share begins.

    ``users`` [items]: the users of each, at least one in all.
    """
    order = np.argsort(-users, kind="stable")
    before = np.cumsum(users[order]) - users[order]
    parts = np.empty(len(users), np.int8)
    parts[order] = np.searchsorted([HEAD, TORSO], before / users.sum(), side="right")
    return parts


def measure(
    part: Slice, ranked: Mapping[str, np.ndarray], relevance: Relevance, k: int, rng: np.random.Generator
) -> Measured:
    """Each model's METRICS at ``k`` on a slice; ``ranked``: model -> int32 [users, ≥k]."""
    wanted = relevance if part.items is None else relevance.only(part.items)
    counted = wanted.count > 0
    if part.users is not None:
        counted &= part.users
    if not counted.any():
        return Measured(part, 0, {})
    values = {
        (name, metric): of_user[counted]
        for name, table in ranked.items()
        for (metric, _), of_user in comparison.each(table, wanted, METRICS, [k]).items()
    }
    found = comparison.estimates(values, rng)
    return Measured(part, int(counted.sum()), {m: {metric: found[m, metric] for metric in METRICS} for m in ranked})


def _edges(values: np.ndarray, edges: Sequence[int]) -> list[int]:
    """``edges``, or as many quantiles of ``values`` where the edges leave less than FEWEST of them in a slice."""
    shares = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) / max(len(values), 1)
    if not len(values) or shares.min() >= FEWEST:
        return list(edges)
    places = np.arange(1, len(edges) + 1) / (len(edges) + 1)
    return [int(edge) for edge in np.quantile(values, places, method="lower")]


def _binned(dimension: str, names: Sequence[str], values: np.ndarray, edges: Sequence[int]) -> list[Slice]:
    """Slices of whole numbers: up to and including each edge, and above the last one."""
    spans = [f"at most {edges[0]}"]
    spans += [f"{low + 1} to {high}" for low, high in itertools.pairwise(edges)]
    spans.append(f"more than {edges[-1]}")
    bins = np.where(np.isnan(values), -1, np.searchsorted(edges, values))
    return [
        Slice(dimension, name, f"{dimension}: {span}", users=bins == place)
        for place, (name, span) in enumerate(zip(names, spans, strict=True))
    ]
