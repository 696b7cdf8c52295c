"""The candidate sources, each usable alone.

``fit(past, **options)`` gives arrays that know what lies before the cut and nothing else. ``scorer(arrays, histories)``
finds each user's best items and scores any of them: a user is scored by its history alone, so a user that came after
the fit, or a session without a user, is scored like any other.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.core.models.histories import Histories
from pipelines.core.models.past import Past
from pipelines.core.models.search import Scorer
from pipelines.core.models.sources import (
    again,
    als,
    category_popularity,
    content,
    covisitation,
    item_item,
    popularity,
    svd,
)

Arrays = Mapping[str, np.ndarray]

AT_ONCE: Final = 2
"""Sources that are fitted at one time."""


@dataclass(frozen=True)
class Source:
    """A way to propose items."""

    fit: Callable[..., dict[str, np.ndarray]]
    scorer: Callable[[Any, Histories], Scorer]


SOURCES: Final[Mapping[str, Source]] = {
    "svd": Source(svd.fit, svd.scorer),
    "svd_taste": Source(svd.fit, svd.scorer),
    "item_item": Source(item_item.fit, item_item.scorer),
    "als": Source(als.fit, als.scorer),
    "covisitation": Source(covisitation.fit, covisitation.scorer),
    "popularity": Source(popularity.fit, popularity.scorer),
    "popularity_always": Source(popularity.fit, popularity.scorer),
    "category_popularity": Source(category_popularity.fit, category_popularity.scorer),
    "content": Source(content.fit, content.scorer),
    "again": Source(again.fit, again.scorer),
}
"""Name -> source; the order breaks ties between sources."""


def fit_all(past: Past, options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, np.ndarray]]:
    """Fit the sources that ``options`` names, in the order of SOURCES; name -> its hyperparameters.

    ``again`` has nothing to propose where things don't repeat. Two sources are fitted at a time, each with one thread
    of linear algebra: with two, small systems take several times as long.
    """
    wanted = [name for name in SOURCES if options.get(name) and (name != "again" or options.get("repeat"))]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(AT_ONCE) as pool:
        fitted = pool.map(lambda name: SOURCES[name].fit(past, **options[name]), wanted)
        return dict(zip(wanted, fitted, strict=True))
