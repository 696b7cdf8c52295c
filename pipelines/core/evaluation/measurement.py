"""All that is measured of a model on its window, from the lists that it and the others give every user."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.evaluation import calibration, comparison, slices
from pipelines.core.evaluation.calibration import Deciles
from pipelines.core.evaluation.comparison import OURS, Estimate, Relevance, Verdict
from pipelines.core.evaluation.slices import Measured
from pipelines.core.models import metrics
from pipelines.core.models.bundle import Bundle

MERGED = "sources merged"
"""The ablation's step without learning."""
CURVES = ("ndcg", "recall")


class Lists:
    """Name -> int32 [users, k], rows in the order of the relevance; filled a batch of users at a time."""

    def __init__(self, relevant: Relevance, k: int) -> None:
        self._user_ids, self._k = relevant.user_ids, k
        self.tables: dict[str, np.ndarray] = {}

    def add(self, name: str, user_ids: np.ndarray, lists: np.ndarray) -> None:
        """The lists int32 [B, k] of ``user_ids`` [B] by a model; users who wanted nothing have no row."""
        row = np.searchsorted(self._user_ids, user_ids)
        empty = np.full((len(self._user_ids), self._k), -1, np.int32)
        self.tables.setdefault(name, empty)[row] = lists


@dataclass(frozen=True)
class Ranked:
    """What stands on the first places of every user, int32 [users, k] each, and RecoMart's scores."""

    models: Mapping[str, np.ndarray]
    steps: Mapping[str, np.ndarray]
    """Of the ablation, in order; none where it is off."""
    scores: np.ndarray
    """float32 [n], of all candidates of all users."""
    hits: np.ndarray
    """bool [n], whether something came of them."""


@dataclass(frozen=True)
class Results:
    """What was measured."""

    models: Mapping[str, Mapping[int, Mapping[str, float]]]
    """Model -> cut-off -> metric -> value; beyond accuracy at the cut-offs asked for only."""
    curves: Mapping[tuple[str, str, int], Estimate]
    """(model, metric of CURVES, cut-off) -> value with its interval."""
    verdicts: Mapping[str, Verdict]
    """Other model -> how RecoMart compares with it."""
    slices: Sequence[Measured]
    steps: Mapping[str, Mapping[str, float]]
    """Step of the ablation -> its numbers."""
    deciles: Deciles
    cut_offs: Sequence[int]
    """Those asked for, ascending."""
    headline: int
    """The one of verdicts, slices and steps."""


def measure(
    bundle: Bundle,
    ranked: Ranked,
    relevant: Relevance,
    inputs: Mapping[str, int],
    ks: Sequence[int],
    headline: int,
    seed: int,
) -> Results:
    """Measure all of it, every mean on the same draws of users.

    ``inputs``: step of the ablation -> how many inputs its ranker has.
    """
    n_items, cut_offs = len(bundle.item_ids), range(1, max(ks) + 1)
    user_items = bundle.histories.support(n_items)
    models: dict[str, dict[int, dict[str, float]]] = {}
    curves: dict[tuple[str, str, int], np.ndarray] = {}
    for name, table in ranked.models.items():
        models[name] = comparison.by_k(table, relevant, n_items, cut_offs)
        for k, beyond in metrics.beyond(table, user_items, ks).items():
            models[name][k] |= beyond
        each = comparison.each(table, relevant, CURVES, cut_offs)
        curves |= {(name, metric, k): values for (metric, k), values in each.items()}
    of_users = {name: curves[name, "ndcg", headline] for name in ranked.models}
    window_days = bundle.manifest["params"]["split"]["window_days"]
    parts = [
        *slices.of_users(bundle, relevant.user_ids, window_days),
        *slices.of_items(bundle, relevant, window_days),
    ]
    return Results(
        models,
        comparison.estimates(curves, np.random.default_rng(seed)),
        comparison.verdicts(of_users, np.random.default_rng(seed)),
        [slices.measure(part, ranked.models, relevant, headline, np.random.default_rng(seed)) for part in parts],
        _steps(bundle, ranked, relevant, of_users, inputs, headline, seed),
        calibration.deciles(ranked.scores, ranked.hits),
        ks,
        headline,
    )


def _steps(
    bundle: Bundle,
    ranked: Ranked,
    relevant: Relevance,
    ndcg: Mapping[str, np.ndarray],
    inputs: Mapping[str, int],
    k: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """From the best source to the model itself: each step's NDCG, and its gain over the one before.

    ``ndcg``: model -> float64 [users], at ``k``.
    """
    if not ranked.steps:
        return {}
    best = max(bundle.manifest["sources"], key=lambda name: float(ndcg[name].mean()))
    steps = {f"best source: {best}": ndcg[best]}
    steps |= {name: comparison.values(table, relevant, "ndcg", k) for name, table in ranked.steps.items()}
    steps[OURS] = ndcg[OURS]
    names = list(steps)
    gaps = {name: steps[name] - steps[before] for before, name in itertools.pairwise(names)}
    values, gains = (comparison.estimates(found, np.random.default_rng(seed)) for found in (steps, gaps))
    rows = {}
    for name, one in values.items():
        rows[name] = {f"ndcg@{k}": one.mean, "low": one.low, "high": one.high}
        if name in inputs:
            rows[name]["inputs"] = inputs[name]
        if name in gains:
            gain = gains[name]
            rows[name] |= {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
    return {name: {part: round(value, 6) for part, value in row.items()} for name, row in rows.items()}
