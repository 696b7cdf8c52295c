"""Decides what to recommend: history → candidates → features → ranker → filters → best k, with reasons."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from pipelines.core.features.user_features import UserState
from pipelines.core.lists import arrangement
from pipelines.core.lists.arrangement import EXPLORATION, Arrangement
from pipelines.core.lists.live_history import known_since
from pipelines.core.models import diversity, scoring, signals
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates
from pipelines.core.models.histories import Histories
from pipelines.core.models.ranker_inputs import NO_CATEGORY
from pipelines.core.models.sources import popularity
from serving.filters import Query, allowed
from serving.history import history_of
from serving.online import OnlineStore
from serving.reasons import PINNED, reasons
from serving.rules import Active, RuleBook
from serving.snapshot import Snapshot
from serving.tracing import Trace

TREND: Final = signals.NAMES.index("item_trend_quarter_one")
Strategy = Literal["personalized", "session", "popular"]
NOBODY: Final = UserState({})
UNREADABLE: Final = "the online features can't be read"


@dataclass(frozen=True)
class Recommended:
    """An item of the bundle, with the source that proposed it and the reason to tell."""

    item_idx: int
    score: float
    source: str
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What an answer was decided by; its arrays are never written to."""

    user_idx: int
    """-1 where the model doesn't know the user."""
    at: float
    """"Now" of the features, epoch seconds."""
    candidates: Candidates
    inputs: np.ndarray
    """float32 [n, F], the ranker's."""
    scores: np.ndarray
    """float32 [n], the ranker's."""
    boost: np.ndarray | None
    """float32 [n], what rules add to the scores."""
    keep: np.ndarray
    """bool [n]: candidates that may be shown."""
    category: np.ndarray
    """int32 [n], -1 where unknown."""
    fresh: np.ndarray | None
    """float32 [n]: see ``arrangement.fresh``; None where nothing is explored."""
    how: Arrangement
    rows: np.ndarray
    """int64 [m]: the rows that are shown, best first."""


@dataclass(frozen=True)
class Recommendation:
    """What was decided, best first."""

    strategy: Strategy
    degraded: tuple[str, ...]
    """What is missing or old; empty where nothing is."""
    items: list[Recommended]
    evidence: Evidence


class Recommender:
    """Answers queries from a snapshot, the online store and the shop's rules.

    ``explore``: share of the places for items that few have met.
    """

    def __init__(self, online: OnlineStore, rules: RuleBook, explore: float = 0.0) -> None:
        self._online = online
        self._rules = rules
        self._explore = explore

    def recommend(
        self, snapshot: Snapshot, query: Query, trace: Trace, *, seed: int = 0, forgotten: bool = False
    ) -> Recommendation:
        """The best ``query.k`` items that the filters allow; fewer only where there are no more.

        Where the online store can't be read it answers by what it last knew, and says so. ``seed``: of what is drawn to
        explore. ``forgotten``: the user was erased since the model's cut and is as unknown.
        """
        bundle, active = snapshot.bundle, self._rules.at(snapshot, time.time())
        with trace.stage("state"):
            state, missing = self._state(snapshot, query.user_id, forgotten)
            user_idx = -1 if forgotten or query.user_id is None else bundle.user_idx(query.user_id)
            history = history_of(snapshot, user_idx, state, query)
        strategy = _strategy(user_idx, history)
        if strategy == "popular" and query.device is not None:
            bundle = _on_device(bundle, query.device)
        how = self._arrangement(query, active, strategy, seed)
        with trace.stage("candidates"):
            proposed, keep = _proposed(snapshot, bundle, query, active, history, [item for _, item in how.pins])
        with trace.stage("features"):
            pairs, unread = self._pairs(snapshot, query.user_id, proposed)
            features = _features(snapshot, state, pairs, proposed)
        with trace.stage("rank"):
            inputs = scoring.inputs(bundle, proposed, features, snapshot.now, snapshot.ranked)
            scores = scoring.score(bundle, inputs)
        with trace.stage("arrange"):
            evidence = _arranged(
                snapshot,
                Evidence(
                    user_idx=user_idx,
                    at=snapshot.now,
                    candidates=proposed,
                    inputs=inputs,
                    scores=scores,
                    boost=active.boost(snapshot, proposed.item_idx),
                    keep=keep & ~known_since(pairs, len(scores), bundle.repeats),
                    category=snapshot.cards.codes[proposed.item_idx],
                    fresh=arrangement.fresh(bundle, proposed) if how.explore else None,
                    how=how,
                    rows=np.zeros(0, np.int64),
                ),
            )
            items = _shown(snapshot, history, *evidence)
        return Recommendation(
            strategy=strategy,
            degraded=tuple(filter(None, (missing or unread, *snapshot.old))),
            items=items,
            evidence=evidence[0],
        )

    def _arrangement(self, query: Query, active: Active, strategy: Strategy, seed: int) -> Arrangement:
        return Arrangement(
            k=query.k,
            diversity=query.diversity,
            max_per_category=query.max_per_category,
            pins=active.pins(query.categories),
            explore=self._explore,
            seed=seed,
            spread=arrangement.SPREAD if strategy == "popular" else None,
        )

    def _state(self, snapshot: Snapshot, user_id: str | None, forgotten: bool) -> tuple[UserState, str]:
        """(what is known of the user, what is missing of it)."""
        features = snapshot.features
        if user_id is None:
            return NOBODY, ""
        if features is None:
            return NOBODY, UNREADABLE
        if forgotten:
            self._online.forget(user_id)
        state = self._online.read(lambda: features.state(user_id))
        if state is None:
            return self._online.last(user_id) or NOBODY, UNREADABLE
        self._online.remember(user_id, state)
        return state, ""

    def _pairs(
        self, snapshot: Snapshot, user_id: str | None, proposed: Candidates
    ) -> tuple[Mapping[str, np.ndarray], str]:
        """(what the store knows of the user with each candidate: float64 [n], what is missing of it).

        Not asked where there can be nothing: a candidate is an item that the user hasn't had to do with.
        """
        features = snapshot.features
        if user_id is None or features is None or not snapshot.knows_pairs:
            return {}, ""
        codes, place = np.unique(snapshot.cards.codes[proposed.item_idx], return_inverse=True)
        names = [NO_CATEGORY, *snapshot.cards.categories]  # an item without a category has code -1
        item_ids = snapshot.bundle.item_ids[proposed.item_idx].tolist()
        found = self._online.read(lambda: features.pairs(user_id, item_ids, [names[code + 1] for code in codes]))
        if found is None:
            return {}, UNREADABLE
        return {**found.items, **{name: values[place] for name, values in found.categories.items()}}, ""


def _proposed(
    snapshot: Snapshot, bundle: Bundle, query: Query, active: Active, history: Histories, pinned: Sequence[int]
) -> tuple[Candidates, np.ndarray]:
    """(the candidates, bool [n]: those that the filters let through); popular items where a list needs more.

    All are ranked, shown or not: the ranker compares a candidate with the best of its source.
    """
    per_source = int(bundle.manifest["params"]["candidates"]["per_source"])
    usual = scoring.candidates(bundle, history, per_source, pinned)
    keep = allowed(snapshot, query, active, among=usual.item_idx)
    category, most = snapshot.cards.codes, query.max_per_category
    if diversity.room(category[usual.item_idx[keep]], most) >= query.k:
        return usual, keep
    everywhere = allowed(snapshot, query, active)
    more = scoring.filled(bundle, history, usual, everywhere, query.k, category, most)
    return more, everywhere[more.item_idx]


def _on_device(bundle: Bundle, device: str) -> Bundle:
    """The model for somebody of whom nothing is known but the device."""
    popular = popularity.on_device(bundle.sources[scoring.FILLING], device)
    return replace(bundle, sources={**bundle.sources, scoring.FILLING: popular})


def _arranged(snapshot: Snapshot, evidence: Evidence) -> tuple[Evidence, np.ndarray]:
    """(the evidence with the rows that are shown, bool [m]: those that are there to explore)."""
    scores = evidence.scores if evidence.boost is None else evidence.scores + evidence.boost
    rows, explored = arrangement.arranged(
        evidence.how,
        evidence.candidates.item_idx,
        scores,
        evidence.keep,
        evidence.category,
        evidence.fresh,
        diversity.vectors(snapshot.bundle) if evidence.how.diversity else None,
    )
    return replace(evidence, rows=rows), explored


def _shown(snapshot: Snapshot, history: Histories, evidence: Evidence, explored: np.ndarray) -> list[Recommended]:
    candidates, rows, how = evidence.candidates, evidence.rows, evidence.how
    items = candidates.item_idx[rows]
    proposed = [snapshot.bundle.manifest["sources"][s] for s in candidates.source[rows]]
    names = [EXPLORATION if new else name for new, name in zip(explored.tolist(), proposed, strict=True)]
    pinned = {item for _, item in how.pins}
    by = [PINNED if item in pinned else name for item, name in zip(items.tolist(), names, strict=True)]
    told = reasons(snapshot, history, items, by, candidates.signals[rows, TREND])
    scores = evidence.scores if evidence.boost is None else evidence.scores + evidence.boost
    return [Recommended(*row) for row in zip(items.tolist(), scores[rows].tolist(), names, told, strict=True)]


def _features(
    snapshot: Snapshot, state: UserState, pairs: Mapping[str, np.ndarray], proposed: Candidates
) -> dict[str, float | np.ndarray]:
    """Feature → value for all or float64 [n], but what the ranker reads of the items alone; NaN where it is unknown."""
    mixed = {name: snapshot.items[name][proposed.item_idx] for name in snapshot.ranked.mixed}
    return {**snapshot.unknown, **mixed, **state.features, **pairs}


def _strategy(user_idx: int, history: Histories) -> Strategy:
    if not len(history.item_idx):
        return "popular"
    return "session" if user_idx < 0 else "personalized"
