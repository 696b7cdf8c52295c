"""Decides what to recommend: candidates → filters → features → ranker → best k, with reasons."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from pipelines.core import ranking, scoring
from pipelines.core.candidates import Candidates
from pipelines.core.ranker_inputs import NO_CATEGORY
from serving.filters import Query, allowed
from serving.online import OnlineStore
from serving.ports import Features
from serving.reasons import reasons
from serving.snapshot import Snapshot
from serving.tracing import Trace

FILLING: Final = "popularity"
"""The source that fills up where filters leave too few."""


@dataclass(frozen=True)
class Recommended:
    """An item of the bundle, with the source that proposed it and the reason to tell."""

    item_idx: int
    score: float
    source: str
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """What was decided, best first."""

    strategy: Literal["personalized", "popular"]
    degraded: bool
    items: list[Recommended]


class Recommender:
    """Answers queries from a snapshot and the online store."""

    def __init__(self, online: OnlineStore) -> None:
        self._online = online

    def recommend(self, snapshot: Snapshot, query: Query, trace: Trace) -> Recommendation:
        """The best ``query.k`` items that the filters allow; fewer only where there are no more.

        Where the online store can't be read it answers without those features and says so.
        """
        bundle = snapshot.bundle
        user_idx = bundle.user_idx(query.user_id)
        with trace.stage("candidates"):
            keep = allowed(snapshot, query)
            proposed = _proposed(snapshot, user_idx, keep, query.k)
        with trace.stage("features"):
            features, degraded = self._features(snapshot, query.user_id, proposed)
        with trace.stage("rank"):
            scores = scoring.rank(bundle, proposed, features, at=snapshot.now)
            best = scoring.top_k(proposed, scores, query.k, keep[proposed.item_idx])
        names = [bundle.manifest["sources"][s] for s in best.source]
        told = reasons(snapshot, user_idx, best.item_idx, names)
        rows = zip(best.item_idx.tolist(), best.scores.tolist(), names, told, strict=True)
        return Recommendation(
            strategy="popular" if user_idx < 0 else "personalized",
            degraded=degraded or snapshot.stale,
            items=[Recommended(*row) for row in rows],
        )

    def _features(
        self, snapshot: Snapshot, user_id: str, proposed: Candidates
    ) -> tuple[Mapping[str, float | np.ndarray], bool]:
        """(feature → value for all or float64 [n], whether some could not be read and are NaN)."""
        found: dict[str, float | np.ndarray] = dict.fromkeys(ranking.required(snapshot.feature_service), np.nan)
        found |= {name: values[proposed.item_idx] for name, values in snapshot.items.items()}
        online = snapshot.features
        if online is None:
            return found, True
        read = self._online.read(lambda: _of_user(snapshot, online, user_id, proposed.item_idx))
        return (found, True) if read is None else (found | read, False)


def _of_user(snapshot: Snapshot, online: Features, user_id: str, item_idx: np.ndarray) -> dict[str, float | np.ndarray]:
    """What the store knows of the user, of the user with each item, and in each item's category.

    Raises:
        ServiceError: it can't be read.
    """
    item_ids = snapshot.bundle.item_ids[item_idx].tolist()
    codes, place = np.unique(snapshot.cards.codes[item_idx], return_inverse=True)
    names = [NO_CATEGORY, *snapshot.cards.categories]  # an item without a category has code -1
    found = online.request(user_id, item_ids, [names[code + 1] for code in codes])
    of_categories = {name: values[place] for name, values in found.categories.items()}
    return {**found.user, **found.items, **of_categories}


def _proposed(snapshot: Snapshot, user_idx: int, keep: np.ndarray, k: int) -> Candidates:
    """The candidates, and popular items where fewer than ``k`` of them are among the items to ``keep``.

    All are ranked, shown or not: the ranker compares a candidate with the best of its source.
    """
    usual = _propose(snapshot, user_idx, int(snapshot.bundle.manifest["params"]["candidates"]["per_source"]))
    missing = k - int(keep[usual.item_idx].sum())
    if missing <= 0:
        return usual
    more = keep.copy()
    more[usual.item_idx] = False
    return _joined(usual, _fillers(snapshot, _propose(snapshot, user_idx, len(keep)), more, missing))


def _propose(snapshot: Snapshot, user_idx: int, n_per_source: int) -> Candidates:
    return scoring.candidates(snapshot.bundle, np.array([user_idx], np.int32), n_per_source)


def _fillers(snapshot: Snapshot, everything: Candidates, more: np.ndarray, n: int) -> Candidates:
    """The ``n`` most popular of the items in the mask ``more``, as if only popularity had proposed them."""
    source = snapshot.bundle.manifest["sources"].index(FILLING)
    places = everything.source_ranks[:, source]
    rows = np.flatnonzero(more[everything.item_idx] & np.isfinite(places))
    chosen = _take(everything, rows[np.argsort(places[rows], kind="stable")[:n]])
    ranks = np.full_like(chosen.source_ranks, np.nan)
    ranks[:, source] = chosen.source_ranks[:, source]
    return replace(chosen, source_ranks=ranks, source=np.full_like(chosen.source, source))


def _take(candidates: Candidates, rows: np.ndarray) -> Candidates:
    """Some rows."""
    return replace(
        candidates,
        user_pos=candidates.user_pos[rows],
        item_idx=candidates.item_idx[rows],
        source_scores=candidates.source_scores[rows],
        source_ranks=candidates.source_ranks[rows],
        source=candidates.source[rows],
    )


def _joined(one: Candidates, other: Candidates) -> Candidates:
    """The rows of both, which share no item, for one user."""
    both = Candidates(
        users=1,
        user_pos=np.concatenate([one.user_pos, other.user_pos]),
        item_idx=np.concatenate([one.item_idx, other.item_idx]),
        source_scores=np.concatenate([one.source_scores, other.source_scores]),
        source_ranks=np.concatenate([one.source_ranks, other.source_ranks]),
        source=np.concatenate([one.source, other.source]),
    )
    return _take(both, np.argsort(both.item_idx))
