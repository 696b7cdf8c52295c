"""What a hyperparameter search may try, and how good a setting is by the training cuts alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models import metrics, ranking, scoring
from pipelines.core.models.past import Past
from pipelines.core.models.selection import Rows
from pipelines.core.models.sources import SOURCES

K: Final = 10
SPREAD: Final = 4.0
"""A source's setting is looked for from a quarter of what it is to four times as much."""


@dataclass(frozen=True)
class Range:
    """Where a setting is looked for."""

    low: float
    high: float
    whole: bool
    log: bool


RANKER: Final = {
    "trees": Range(30, 600, whole=True, log=True),
    "learning_rate": Range(0.02, 0.3, whole=False, log=True),
    "max_depth": Range(2, 8, whole=True, log=False),
    "min_child_weight": Range(1, 200, whole=False, log=True),
    "subsample": Range(0.4, 1.0, whole=False, log=False),
    "colsample": Range(0.3, 1.0, whole=False, log=False),
}


def around(value: Any, least: float | None, most: float | None) -> Range | None:
    """Where a source's setting is looked for, between the limits of its type; None where it isn't a number that can be.

    One with both limits may be anything between them.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = isinstance(value, int)
    if least is not None and most is not None:
        return Range(least, most, whole, log=False)
    if value <= 0:
        return None
    low, high = max(value / SPREAD, least or 0.0), min(value * SPREAD, np.inf if most is None else most)
    return Range(max(1, round(low)), round(high), whole, log=True) if whole else Range(low, high, whole, log=True)


def suggest(space: Mapping[str, Range], trial: Any) -> dict[str, Any]:
    """What ``trial`` (of Optuna) tries: whole numbers, others with three digits, as a person would write them."""
    found: dict[str, Any] = {}
    for name, of in space.items():
        if of.whole:
            found[name] = trial.suggest_int(name, int(of.low), int(of.high), log=of.log)
        else:
            found[name] = float(f"{trial.suggest_float(name, of.low, of.high, log=of.log):.3g}")
    return found


def of_ranker(
    older: Rows, newest: Rows, names: Sequence[str], options: Mapping[str, Any], seed: int
) -> Callable[[Mapping[str, Any]], float]:
    """Settings -> NDCG@10 among the sampled candidates of the newest training cut, learned from the older ones.

    ``options`` are those that the settings change.
    """
    _, user = np.unique(newest.group, return_inverse=True)

    def measured(settings: Mapping[str, Any]) -> float:
        ranker = ranking.train(older.inputs, older.labels, older.group, names, {**options, **settings}, seed)
        return metrics.ndcg_of(ranking.predict(ranker, newest.inputs), newest.labels > 0, user, K)

    return measured


def of_source(
    name: str,
    past: Past,
    users: np.ndarray,
    gains: csr_matrix,
    options: Mapping[str, Any],
    *,
    repeat: bool = False,
    share: bool = False,
) -> Callable[[Mapping[str, Any]], float]:
    """Settings -> NDCG@10 of a source alone, over the whole catalogue.

    ``users`` [B] (positions) gain ``gains``, CSR [B, items], each something. Items from ``past.n_items`` on are those
    that nobody knew before the cut. ``repeat``: what a user has had may come again. ``share``: keep what settings have
    in common in ``past``.
    """
    histories = past.histories.take(users)

    def measured(settings: Mapping[str, Any]) -> float:
        # what a trial shared goes with it
        alone = past if share else Past(past.interactions, past.at, past.catalogue, past.seed)
        fitted = SOURCES[name].fit(alone, **{**options, **settings})
        ranked = np.full((len(users), K), -1, np.int32)
        for part in scoring.batches(len(users)):
            batch = histories.take(np.arange(part.start, part.stop))
            row, item, place = scoring.best_of(SOURCES[name].scorer(fitted, batch), batch, K, past.n_items, repeat)
            ranked[part.start + row, place] = item
        hits = metrics.hits(ranked, gains.indptr, gains.indices)
        return float(metrics.per_user(hits, np.diff(gains.indptr), K)["ndcg"].mean())

    return measured
