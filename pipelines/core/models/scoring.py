"""The one scoring path: candidates → ranker → best k. Evaluation and HTTP call these functions on the same bundle."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from pipelines.core.errors import ModelError
from pipelines.core.models import diversity, ranking, signals
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates, TopK
from pipelines.core.models.histories import Histories
from pipelines.core.models.kernels import search as kernels
from pipelines.core.models.ranking import OfItems
from pipelines.core.models.search import Scorer, Seen
from pipelines.core.models.sources import SOURCES

FILLING: Final = "popularity"
"""The source that fills up where filters leave too few."""
USERS_AT_ONCE: Final = 64
"""Users whose candidates are looked for at one time: enough to share the cost of a call, few enough for memory."""


def candidates(bundle: Bundle, histories: Histories, n_per_source: int, also: Sequence[int] = ()) -> Candidates:
    """Propose at most ``n_per_source`` items of each source for each of the B users of ``histories``.

    What a user has seen is left out, unless the bundle lets things repeat. To a user without a history only sources
    that need none propose. ``also``: items (int) that are candidates of everybody who hasn't seen them.
    """
    scorers = _scorers(bundle, histories)
    seen = Seen.nothing(histories.users) if bundle.repeats else Seen.of(histories)
    proposed = [scorer.top(n_per_source, seen) for scorer in scorers]
    if len(also):
        user, item = np.repeat(np.arange(histories.users), len(also)), np.tile(also, histories.users)
        proposed.append((user * len(bundle.item_ids) + item)[~seen.among(user, item)])
    return _described(bundle, histories, scorers, kernels.distinct(np.concatenate(proposed)))


def batches(n_users: int) -> Iterator[slice]:
    """Users by position, ``USERS_AT_ONCE`` at a time."""
    for start in range(0, n_users, USERS_AT_ONCE):
        yield slice(start, min(start + USERS_AT_ONCE, n_users))


def best_of(
    scorer: Scorer, histories: Histories, n: int, n_items: int, repeats: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(user_pos, item_idx, rank from 0) of the ``n`` best items of each user by one source, best first."""
    seen = Seen.nothing(histories.users) if repeats else Seen.of(histories)
    user, item = np.divmod(scorer.top(n, seen), n_items)
    order = np.lexsort((item, -scorer.of(user, item), user))
    user, item = user[order], item[order]
    return user, item, np.arange(len(user)) - np.searchsorted(user, user)


def _scorers(bundle: Bundle, histories: Histories) -> list[Scorer]:
    return [SOURCES[name].scorer(bundle.sources[name], histories) for name in bundle.manifest["sources"]]


def _described(bundle: Bundle, histories: Histories, scorers: Sequence[Scorer], cells: np.ndarray) -> Candidates:
    """What is known of the proposed ``cells``, which ascend."""
    user_pos, item_idx = (part.astype(np.int32) for part in np.divmod(cells, len(bundle.item_ids)))
    source_scores = np.stack([scorer.of(user_pos, item_idx) for scorer in scorers], axis=1)
    bounds = np.searchsorted(user_pos, np.arange(histories.users + 1))
    source_ranks, source = kernels.places(bounds, source_scores)
    return Candidates(
        users=histories.users,
        user_pos=user_pos,
        item_idx=item_idx,
        source_scores=source_scores,
        source_ranks=source_ranks,
        source=source,
        signals=signals.of(bundle.signals, histories, user_pos, item_idx),
    )


def rank(
    bundle: Bundle,
    candidates: Candidates,
    features: Mapping[str, float | np.ndarray],
    at: float | np.ndarray,
    items: OfItems | None = None,
) -> np.ndarray:
    """float32 [n]: the ranker's score of each candidate, larger is better.

    Users without a history are ranked by the blend of the sources alone: the trees have met no such user.

    ``features``: full feature name -> float64 [n] or a scalar for all; NaN where absent. ``at``: "now" in epoch
    seconds, one for all or float64 [B]. ``items``: what was worked out of the items before, at the same moment.

    Raises:
        ModelError: the bundle has no ranker, or a feature that it needs is not there.
    """
    return score(bundle, inputs(bundle, candidates, features, at, items))


def of_items(bundle: Bundle, items: Mapping[str, np.ndarray], at: float) -> OfItems:
    """What ``inputs`` reads of items alone, at the moment ``at``; ``items``: as ``ranking.of_items`` wants them."""
    manifest = bundle.manifest
    return ranking.of_items(manifest["sources"], items, at, manifest["feature_service"])


def inputs(
    bundle: Bundle,
    candidates: Candidates,
    features: Mapping[str, float | np.ndarray],
    at: float | np.ndarray,
    items: OfItems | None = None,
) -> np.ndarray:
    """float32 [n, F]: what the ranker reads of each candidate, in the order of the manifest's ``features``.

    ``items``: what was worked out of the items before, at the same moment.

    Raises:
        ModelError: a feature that the ranker needs is not there.
    """
    manifest = bundle.manifest
    return ranking.inputs(manifest["sources"], candidates, features, at, manifest["feature_service"], items)


def score(bundle: Bundle, inputs: np.ndarray) -> np.ndarray:
    """float32 [n]: what the ranker makes of its ``inputs``.

    Raises:
        ModelError: the bundle has no ranker.
    """
    if bundle.ranker is None:
        raise ModelError("this bundle has no ranker: it can only propose candidates")
    nobody = np.isnan(inputs[:, bundle.ranker.inputs.index("user_items")])
    if nobody.all():
        return bundle.ranker.margin(inputs)
    scores = ranking.predict(bundle.ranker, inputs)
    return np.where(nobody, bundle.ranker.margin(inputs), scores) if nobody.any() else scores


def filled(
    bundle: Bundle,
    history: Histories,
    found: Candidates,
    keep: np.ndarray,
    k: int,
    category: np.ndarray,
    most: int | None = None,
) -> Candidates:
    """The candidates of one user, with popular items where a list of ``k`` needs more than those to ``keep``.

    ``keep``: bool [items]. ``category``: int32 [items]; a list has at most ``most`` of each, or any number where None.
    All candidates stay, shown or not: the ranker compares them with the best of their source.
    """
    kept = found.item_idx[keep[found.item_idx]]
    missing = k - diversity.room(category[kept], most)
    if missing <= 0:
        return found
    more = keep.copy()
    more[found.item_idx] = False
    if not bundle.repeats:
        more[history.item_idx] = False
    order = bundle.sources[FILLING]["order"]
    place = np.flatnonzero(more[order])
    if most is not None:
        place = place[diversity.capped(category[order[place]], most, category[kept])]
    place = place[:missing]
    place = place[np.argsort(order[place])]
    items, users = order[place], np.zeros(len(place), np.int32)
    s = bundle.manifest["sources"].index(FILLING)
    scores = np.full((len(place), found.source_scores.shape[1]), np.nan, np.float32)
    ranks = scores.copy()
    scores[:, s], ranks[:, s] = bundle.sources[FILLING]["scores"][items], place
    fillers = Candidates(
        1,
        users,
        items,
        scores,
        ranks,
        np.full(len(place), s, np.int8),
        signals.of(bundle.signals, history, users, items),
    )
    return _joined(found, fillers)


def _joined(one: Candidates, other: Candidates) -> Candidates:
    """The rows of both, which share no item, for one user."""
    names = ("user_pos", "item_idx", "source_scores", "source_ranks", "source", "signals")
    both = Candidates(1, *(np.concatenate([getattr(one, name), getattr(other, name)]) for name in names))
    return both.take(np.argsort(both.item_idx))


def top_k(candidates: Candidates, scores: np.ndarray, k: int, keep: np.ndarray | None = None) -> TopK:
    """The ``k`` best candidates of each user by ``scores`` [n]; ties go to the smaller item_idx.

    ``keep``: bool [n], candidates that may be shown; all where None. Candidates scored NaN are never shown.
    """
    keep = ~np.isnan(scores) if keep is None else keep & ~np.isnan(scores)
    chosen = np.flatnonzero(keep)
    order = chosen[np.lexsort((candidates.item_idx[chosen], -scores[chosen], candidates.user_pos[chosen]))]
    user = candidates.user_pos[order]
    place = np.arange(len(order)) - np.searchsorted(user, user)
    order, place = order[place < k], place[place < k]
    return TopK(
        user_pos=candidates.user_pos[order],
        item_idx=candidates.item_idx[order],
        scores=scores[order].astype(np.float32),
        source=candidates.source[order],
        rank=place.astype(np.int32),
    )


def mask_seen(histories: Histories, scores: np.ndarray) -> np.ndarray:
    """``scores`` [B, items] with -inf (in place) where the user has seen the item."""
    scores[histories.user_pos, histories.item_idx] = -np.inf
    return scores
