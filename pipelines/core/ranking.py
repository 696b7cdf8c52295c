"""The ranker: gradient-boosted trees with the LambdaMART objective (Burges 2010, MSR-TR-2010-82)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xgboost as xgb

from pipelines.core.candidates import Candidates
from pipelines.core.errors import ModelError
from pipelines.core.interactions import SECONDS_A_DAY

FEATURE_SERVICE: Final = "ranker_v1"

THREADS: Final = 1
"""Fixed, since the order of floating-point sums depends on it; more gain little here and lose much on busy cores."""

_KINDS: Final = ("views", "clicks", "carts", "purchases")
_USER: Final = (
    *(f"user_activity_v1__{kind}_{window}" for kind in _KINDS for window in ("1d", "7d", "30d", "all")),
    "user_activity_v1__spend_30d",
    "user_activity_v1__spend_all",
    "user_activity_v1__mean_price_all",
)
_ITEM: Final = (
    *(f"item_activity_v1__{kind}_{window}" for kind in _KINDS for window in ("1d", "7d", "30d", "all")),
    "item_activity_v1__revenue_30d",
    "item_activity_v1__revenue_all",
    "item_profile_v1__price",
)
_PAIR: Final = tuple(f"user_item_activity_v1__{kind}_{window}" for kind in _KINDS for window in ("7d", "30d", "all"))
_RECENT: Final = tuple(f"{kind}_{window}" for kind in _KINDS for window in ("7d", "30d"))
_AGES: Final = {
    "user_recency_days": "user_activity_v1__last_event_epoch_s",
    "item_recency_days": "item_activity_v1__last_event_epoch_s",
    "item_age_days": "item_profile_v1__first_seen_epoch_s",
    "pair_recency_days": "user_item_activity_v1__last_event_epoch_s",
}
_DERIVED: Final = (
    *_AGES,
    "price_against_user",
    *(f"item_trend_{kind}" for kind in _KINDS),
    "item_click_rate",
    "item_cart_rate",
    "item_purchase_rate",
    "sources_agreeing",
)

REQUIRED: Final = (*_USER, *_ITEM, *_PAIR, *_AGES.values())
"""The columns of the feature service that the ranker reads, by their full names."""


def input_names(sources: Sequence[str]) -> list[str]:
    """The ranker's inputs in order."""
    proposed = [f"{name}_{what}" for name in sources for what in ("score", "relative", "rank")]
    return [*proposed, *_USER, *_ITEM, *_PAIR, *_DERIVED]


def inputs(
    sources: Sequence[str], candidates: Candidates, features: Mapping[str, Any], at: float | np.ndarray
) -> np.ndarray:
    """The ranker's input matrix float32 [n, len(input_names(sources))]; NaN where a feature is absent.

    Points in time become ages in days before ``at`` (epoch seconds, one for all or [B]): a model that saw raw
    epochs would have learned the calendar.

    Raises:
        ModelError: a required feature is not there.
    """
    missing = [name for name in REQUIRED if name not in features]
    if missing:
        raise ModelError(f"features are missing: {', '.join(missing[:3])}; publish {FEATURE_SERVICE} again")
    names = input_names(sources)
    matrix = np.empty((len(candidates.item_idx), len(names)), np.float32)
    now = at if np.isscalar(at) else np.asarray(at)[candidates.user_pos]
    columns = _of_sources(sources, candidates) | _derived(features, now, candidates)
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


def _of_sources(sources: Sequence[str], candidates: Candidates) -> dict[str, np.ndarray]:
    columns = {}
    for s, name in enumerate(sources):
        score = candidates.source_scores[:, s]
        best = np.full(candidates.users, np.nan, np.float32)
        np.fmax.at(best, candidates.user_pos, score)
        columns[f"{name}_score"] = score
        columns[f"{name}_relative"] = score / best[candidates.user_pos]
        columns[f"{name}_rank"] = candidates.source_ranks[:, s]
    return columns


def _derived(features: Mapping[str, Any], now: Any, candidates: Candidates) -> dict[str, Any]:
    columns = {age: (now - features[epoch]) / SECONDS_A_DAY for age, epoch in _AGES.items()}
    # Prices are in the shop's currency, the user's mean is in its minor unit.
    mean = np.asarray(features["user_activity_v1__mean_price_all"], float) / 100.0
    price = np.maximum(np.asarray(features["item_profile_v1__price"], float), 0.0)
    columns["price_against_user"] = np.log((price + 0.01) / (np.maximum(mean, 0.0) + 0.01))
    item = {k: np.nan_to_num(features[f"item_activity_v1__{k}"]) for k in _RECENT}
    for kind in _KINDS:
        columns[f"item_trend_{kind}"] = (item[f"{kind}_7d"] / 7 + 0.1) / (item[f"{kind}_30d"] / 30 + 0.1)
    interest = item["views_30d"] + item["clicks_30d"]
    columns["item_click_rate"] = smoothed(item["clicks_30d"], item["views_30d"])
    columns["item_cart_rate"] = smoothed(item["carts_30d"], interest)
    columns["item_purchase_rate"] = smoothed(item["purchases_30d"], interest)
    columns["sources_agreeing"] = np.isfinite(candidates.source_ranks).sum(axis=1)
    return columns


def smoothed(hits: Any, trials: Any) -> Any:
    """(hits + 1) / (trials + 20): a rate that a few events can't drive to its extremes."""
    return (hits + 1.0) / (trials + 20.0)
