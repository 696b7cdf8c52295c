"""The ranker: gradient-boosted trees with the LambdaMART objective (Burges 2010, MSR-TR-2010-82)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xgboost as xgb

from pipelines.core.candidates import Candidates
from pipelines.core.errors import ModelError
from pipelines.core.interactions import SECONDS_A_DAY
from pipelines.core.ranker_inputs import reads

THREADS: Final = 1
"""Fixed, since the order of floating-point sums depends on it; more gain little here and lose much on busy cores."""


def required(service: str) -> tuple[str, ...]:
    """The features of ``service`` that the ranker reads, by their full names.

    Raises:
        ModelError: no ranker reads this service; so do the functions below.
    """
    return reads(service).required


def input_names(sources: Sequence[str], service: str) -> list[str]:
    """The ranker's inputs in order."""
    proposed = [f"{name}_{what}" for name in sources for what in ("score", "relative", "rank")]
    return [*proposed, *reads(service).inputs, "sources_agreeing"]


def inputs(
    sources: Sequence[str], candidates: Candidates, features: Mapping[str, Any], at: float | np.ndarray, service: str
) -> np.ndarray:
    """The ranker's input matrix float32 [n, len(input_names(sources, service))]; NaN where a feature is absent.

    Points in time become ages in days before ``at`` (epoch seconds, one for all or [B]): a model that saw raw
    epochs would have learned the calendar.

    Raises:
        ModelError: a required feature is not there.
    """
    read = reads(service)
    missing = [name for name in read.required if name not in features]
    if missing:
        raise ModelError(f"features of {service} are missing: {', '.join(missing[:3])}; publish and assemble again")
    names = input_names(sources, service)
    matrix = np.empty((len(candidates.item_idx), len(names)), np.float32)
    now = at if np.isscalar(at) else np.asarray(at)[candidates.user_pos]
    columns = _of_sources(sources, candidates)
    columns |= {age: (now - features[epoch]) / SECONDS_A_DAY for age, epoch in read.ages.items()}
    columns |= {name: derive(features) for name, derive in read.derived.items()}
    for j, name in enumerate(names):
        matrix[:, j] = columns[name] if name in columns else features[name]
    return matrix


def train(
    inputs: np.ndarray,
    labels: np.ndarray,
    group: np.ndarray,
    names: Sequence[str],
    options: Mapping[str, Any],
    seed: int,
) -> xgb.Booster:
    """Fit LambdaMART: the same input and seed give the same trees.

    ``labels``: float32 [n], event weights; the gain of w is log2(1 + w), so that one purchase doesn't drown a dozen
    views. ``group``: int [n], ascending, one value a user and cut.
    """
    gains = np.log2(1.0 + labels)
    data = xgb.QuantileDMatrix(inputs, gains, qid=group, missing=np.nan, feature_names=list(names), nthread=THREADS)
    settings = {
        "objective": "rank:ndcg",
        "ndcg_exp_gain": False,
        "tree_method": "hist",
        "eta": options["learning_rate"],
        "max_depth": options["max_depth"],
        "min_child_weight": options["min_child_weight"],
        "subsample": options["subsample"],
        "colsample_bytree": options["colsample"],
        "seed": seed,
        "nthread": THREADS,
    }
    return xgb.train(settings, data, num_boost_round=options["trees"])


def predict(ranker: xgb.Booster, inputs: np.ndarray) -> np.ndarray:
    """float32 [n]: scores, larger is better."""
    scores: np.ndarray = ranker.inplace_predict(inputs, missing=np.nan)
    return scores.astype(np.float32, copy=False)


def importance(ranker: xgb.Booster) -> list[tuple[str, float]]:
    """(input, share of the total gain of all splits), largest first; inputs that no tree reads are left out."""
    gain = ranker.get_score(importance_type="total_gain")
    total = sum(gain.values())
    return sorted(((name, value / total) for name, value in gain.items()), key=lambda pair: (-pair[1], pair[0]))


def _of_sources(sources: Sequence[str], candidates: Candidates) -> dict[str, Any]:
    columns = {}
    for s, name in enumerate(sources):
        score = candidates.source_scores[:, s]
        best = np.full(candidates.users, np.nan, np.float32)
        np.fmax.at(best, candidates.user_pos, score)
        columns[f"{name}_score"] = score
        columns[f"{name}_relative"] = score / best[candidates.user_pos]
        columns[f"{name}_rank"] = candidates.source_ranks[:, s]
    columns["sources_agreeing"] = np.isfinite(candidates.source_ranks).sum(axis=1)
    return columns
