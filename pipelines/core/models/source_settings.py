"""Settings of the sources and the ranker for any log: what goes by the window to predict, and what is tried."""

from collections.abc import Mapping
from itertools import product
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.core.models import tuning
from pipelines.core.models.lessons import Lesson, Problem, gaining
from pipelines.core.models.past import Catalogue
from pipelines.core.models.selection import FEW_USERS

Grids = Mapping[str, Mapping[str, tuple[float, ...]]]

GRIDS: Final[Grids] = {
    "svd": {"ridge": (0.03, 0.1, 0.3, 1.0, 3.0)},
    "svd_taste": {"ridge": (0.03, 0.1, 0.3, 1.0, 3.0)},
    "item_item": {"ridge": (0.02, 0.1, 0.5)},
    "als": {"ridge": (0.03, 0.1, 0.3)},
}
"""Source -> setting -> values that are tried in the newest lesson."""
ALWAYS: Final = 1e6
"""Days of a half-life in which nothing ages."""
CHEAP: Final = ("svd", "svd_taste")
"""Sources whose settings are tried on logs of any size: the factorization is made once for all of them."""
SMALL: Final = 1_000_000
"""Different items of users up to which the other sources' settings are tried too."""
TUNED_USERS: Final = 1000
TUNED_CELLS: Final = 1 << 25
RANKER: Final = {
    "trees": 200,
    "learning_rate": 0.06,
    "max_depth": 5,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample": 0.5,
}


def settings(window_days: float, n_items: int, catalogue: Catalogue) -> dict[str, Any]:
    """Hyperparameters for a log: spans of time go by the window to predict, everything else is the same for all."""
    recent, always = 0.4 * window_days, ALWAYS
    candidates: dict[str, Any] = {
        "svd": {"factors": 128, "ridge": 0.1, "half_life_days": recent, "user_scale": 0.0, "item_scale": 0.0},
        "svd_taste": {"factors": 128, "ridge": 0.1, "half_life_days": always, "user_scale": 0.0, "item_scale": 0.0},
        "item_item": {"neighbours": 100, "ridge": 0.1, "half_life_days": recent},
        "als": {"factors": 64, "unobserved": 0.3, "ridge": 0.03, "iterations": 8, "half_life_days": always},
        "covisitation": {"window": 10, "half_life_days": 2 * window_days, "neighbours": 100},
        "popularity": {"half_life_days": 0.25 * window_days},
        "popularity_always": {"half_life_days": always},
    }
    if any(text is not None for text in catalogue.text):
        candidates["content"] = {"max_users": 5, "half_life_days": 2 * window_days}
    if any(category is not None for category in catalogue.category):
        taste = {"half_life_days": 0.25 * window_days, "taste_half_life_days": 2 * window_days}
        candidates["category_popularity"] = taste
    return {"candidates": {**candidates, "per_source": 100 if n_items < 50_000 else 50}, "ranker": RANKER}


def timeless(candidates: Mapping[str, Any]) -> Grids:
    """What to try where times may tell nothing: what was always in demand, or what is now."""
    tried = {name: tuple(sorted({ALWAYS, candidates[name]["half_life_days"]}, reverse=True)) for name in GRIDS}
    return {name: {"half_life_days": tried[name], **grid} for name, grid in GRIDS.items()}


def tuned(problem: Problem, lesson: Lesson, grids: Grids) -> dict[str, Any]:
    """The sources' settings that are best in a lesson, each source alone; as they are with few users."""
    chosen = dict(problem.options["candidates"])
    past = problem.past(lesson.known, lesson.at)
    gainers, gains = gaining(past, lesson)
    if len(gainers) < FEW_USERS:
        return chosen
    few = max(FEW_USERS, min(TUNED_USERS, TUNED_CELLS // past.n_items))
    users = np.sort(past.rng().permutation(gainers)[:few])
    small = len(past.histories.item_idx) <= SMALL
    with threadpool_limits(1, "blas"):
        for name, grid in grids.items():
            if name in CHEAP or small:
                ndcg = tuning.of_source(name, past, users, gains[users], chosen[name], share=True)
                options = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
                measured = [ndcg(tried) for tried in options]
                chosen[name] = {**chosen[name], **options[int(np.argmax(measured))]}
    return chosen
