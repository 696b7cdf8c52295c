"""The ranker: a blend of the sources, and on top of it trees with the LambdaMART objective.

Burges 2010, MSR-TR-2010-82. The trees start from the blend: with little data, none of them is a good ranker too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from pipelines.core.errors import ModelError
from pipelines.core.models import blend, signals
from pipelines.core.models.candidates import Candidates
from pipelines.core.models.forest import Forest
from pipelines.core.models.kernels import ranking as kernels
from pipelines.core.models.ranker_inputs import reads

THREADS: Final = 1
"""Fixed, since the order of floating-point sums depends on it; more gain little here and lose much on busy cores."""


def required(service: str | None) -> tuple[str, ...]:
    """The features of ``service`` that the ranker reads, by their full names.

    Raises:
        ModelError: no ranker reads this service; so do the functions below.
    """
    return reads(service).required


def input_names(sources: Sequence[str], service: str | None) -> list[str]:
    """The ranker's inputs in order."""
    proposed = [f"{name}_{what}" for name in sources for what in ("score", "relative", "rank")]
    return [*proposed, *signals.NAMES, *reads(service).inputs]


@dataclass(frozen=True)
class OfItems:
    """The inputs that take nothing but an item's features, worked out for all items."""

    features: frozenset[str]
    """What an item's features are."""
    columns: np.ndarray
    """uint32 [c], which of the inputs they are."""
    values: np.ndarray
    """float32 [items, c]."""
    plain: tuple[tuple[int, str], ...]
    """(column, feature) of the service's other inputs that are features as they are."""
    made: tuple[tuple[int, str], ...]
    """(column, input) of those that are made of features."""
    mixed: tuple[str, ...]
    """Item features that those take too."""


def of_items(sources: Sequence[str], items: Mapping[str, np.ndarray], at: float, service: str | None) -> OfItems:
    """Work out what can be: ``items``: full feature name -> float64 [items], all or none of them; ``at``: "now"."""
    read, names = reads(service), input_names(sources, service)
    made = read.made_of(items)
    count = len(next(iter(items.values()))) if items else 0
    values = np.empty((count, len(made)), np.float32)
    for j, name in enumerate(made):
        values[:, j] = read.value(name, items, at)
    others = tuple((j, name) for j, name in enumerate(names) if name in read.inputs and name not in made)
    plain = tuple((j, name) for j, name in others if name in read.plain)
    others = tuple((j, name) for j, name in others if name not in read.plain)
    derived = [read.derived[name].reads for _, name in others if name in read.derived]
    mixed = tuple(dict.fromkeys(feature for needed in derived for feature in needed if feature in items))
    columns = np.array([names.index(name) for name in made], np.uint32)
    return OfItems(frozenset(items), columns, values, plain, others, mixed)


def inputs(
    sources: Sequence[str],
    candidates: Candidates,
    features: Mapping[str, Any],
    at: float | np.ndarray,
    service: str | None,
    items: OfItems | None = None,
) -> np.ndarray:
    """The ranker's input matrix float32 [n, len(input_names(sources, service))]; NaN where a feature is absent.

    Points in time become ages in days before ``at`` (epoch seconds, one for all or [B]): a model that saw raw
    epochs would have learned the calendar. With ``items``, ``features`` need not hold an item's features but those
    that are ``mixed`` with others; without, all of them.

    Raises:
        ModelError: a required feature is not there.
    """
    read = reads(service)
    items = items or of_items(sources, {}, 0.0, service)
    missing = [name for name in read.required if name not in features and name not in items.features]
    if missing:
        raise ModelError(f"features of {service} are missing: {', '.join(missing[:3])}; publish and assemble again")
    now = at if np.isscalar(at) else np.asarray(at)[candidates.user_pos]
    scores, n = candidates.source_scores, len(candidates.item_idx)
    matrix = np.empty((n, 3 * len(sources) + len(signals.NAMES) + len(read.inputs)), np.float32)
    bounds = np.searchsorted(candidates.user_pos, np.arange(candidates.users + 1))
    kernels.write_sources(matrix, bounds, scores, candidates.source_ranks, candidates.signals)
    columns, shared = [], []
    found = [(column, features[name]) for column, name in items.plain]
    found += [(column, read.value(name, features, now)) for column, name in items.made]
    for column, value in found:
        if isinstance(value, np.ndarray) and value.ndim:
            matrix[:, column] = value
        else:
            columns.append(column)
            shared.append(value)
    constant = np.array(columns, np.uint32), np.array(shared, np.float32)
    kernels.write_shared(matrix, *constant, items.columns, items.values, candidates.item_idx)
    return matrix


@dataclass(frozen=True)
class Ranker:
    """Orders candidates: a blend of the sources and, where they were worth it, trees that add to it."""

    inputs: tuple[str, ...]
    """What it reads, in order."""
    blend: Mapping[str, float]
    """Source -> weight of its standing (core/models/blend.py)."""
    trees: Forest | None

    def margin(self, inputs: np.ndarray) -> np.ndarray:
        """float32 [n]: the blend alone."""
        return blend.margin(self._weights, np.ascontiguousarray(inputs), self._columns)

    @cached_property
    def _columns(self) -> np.ndarray:
        return np.array([self.inputs.index(f"{source}_rank") for source in self.blend], np.int64)

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.array(list(self.blend.values()), np.float32)


def train(
    inputs: np.ndarray,
    labels: np.ndarray,
    group: np.ndarray,
    names: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
) -> Ranker:
    """Fit the blend, then LambdaMART on top of it: the same input and seed give the same ranker.

    A score or a place of a source can only speak for a candidate the better it is (monotone trees): what is left to
    learn from few events is when to trust which source. ``labels``: float32 [n], event weights; the gain of w is
    log2(1 + w), so that one purchase doesn't drown a dozen views. ``group``: int [n], ascending, one value a user and
    cut. ``options["trees"]`` of 0 leaves the blend alone.
    """
    ranked = [name.removesuffix("_rank") for name in names if name.endswith("_rank")]
    gains = np.log2(1.0 + labels)
    places = inputs[:, [names.index(f"{source}_rank") for source in ranked]]
    weights = blend.fit(places, gains, group) if ranked else np.zeros(0)
    start = Ranker(tuple(names), dict(zip(ranked, weights.tolist(), strict=True)), None)
    if not options["trees"]:
        return start
    import xgboost as xgb  # takes a second and 100 MB, and only training needs it

    data = xgb.QuantileDMatrix(inputs, gains, qid=group, missing=np.nan, feature_names=list(names), nthread=THREADS)
    data.set_base_margin(start.margin(inputs))
    settings = {
        "objective": "rank:ndcg",
        "ndcg_exp_gain": False,
        "tree_method": "hist",
        "eta": options["learning_rate"],
        "max_depth": options["max_depth"],
        "min_child_weight": options["min_child_weight"],
        "subsample": options["subsample"],
        "colsample_bytree": options["colsample"],
        "monotone_constraints": str(tuple(map(_direction, names))).replace(" ", ""),
        "seed": seed,
        "nthread": THREADS,
    }
    booster = xgb.train(settings, data, num_boost_round=options["trees"])
    return replace(start, trees=Forest.of(bytes(booster.save_raw("json"))))


def predict(ranker: Ranker, inputs: np.ndarray, trees: int = 0) -> np.ndarray:
    """float32 [n]: scores, larger is better; of the first ``trees`` trees, or of all where 0."""
    start = ranker.margin(inputs)
    return start if ranker.trees is None else ranker.trees.scores(inputs, start, trees)


def _direction(name: str) -> int:
    """How an input may move a score: 1 up only, -1 down only, 0 either way."""
    return -1 if name.endswith("_rank") else int(name.endswith(("_score", "_relative")))


def importance(ranker: Ranker) -> list[tuple[str, float]]:
    """(input, share of the total gain of all splits), largest first; inputs that no tree reads are left out."""
    if ranker.trees is None:
        return []
    gain = ranker.trees.booster.get_score(importance_type="total_gain")
    total = sum(gain.values())
    return sorted(((name, value / total) for name, value in gain.items()), key=lambda pair: (-pair[1], pair[0]))
