"""The candidate sources, each usable alone.

``fit(interactions, at, rng, **options)`` gives arrays, where ``at`` is the cut in epoch seconds and every interaction
lies before it; ``score(arrays, user_idx)`` gives float32 [B, items], -inf where the source has nothing to say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipelines.core import covisitation, popularity, svd
from pipelines.core.interactions import Interactions

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Source:
    """A way to propose items."""

    fit: Callable[..., dict[str, np.ndarray]]
    score: Callable[[Any, np.ndarray], np.ndarray]


SOURCES: Final[Mapping[str, Source]] = {
    "svd": Source(svd.fit, svd.score),
    "covisitation": Source(covisitation.fit, covisitation.score),
    "popularity": Source(popularity.fit, popularity.score),
}
"""Name -> source; the order breaks ties between sources."""


def fit_all(
    interactions: Interactions, at: float, options: Mapping[str, Mapping[str, Any]], seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Fit every source; ``options``: name -> its hyperparameters."""
    return {
        name: source.fit(interactions, at, np.random.default_rng(seed), **options[name])
        for name, source in SOURCES.items()
    }
