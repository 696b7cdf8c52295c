"""Computes a list again from what is logged of its candidates."""

from collections.abc import Mapping

import numpy as np

from pipelines.core.lists import arrangement
from pipelines.core.lists.arrangement import Arrangement
from pipelines.core.models import diversity, scoring
from pipelines.core.models.bundle import Bundle


def again(bundle: Bundle, arrays: Mapping[str, np.ndarray], how: Arrangement) -> tuple[np.ndarray, np.ndarray]:
    """(item_idx int32 [m], scores float32 [m]) of the list, best first: scored anew by the model that scored it.

    ``arrays``, n candidates: item_idx int32 [n], inputs float32 [n, F], keep bool [n], category int32 [n], and where
    there were any, boost and fresh float32 [n].

    Raises:
        ModelError: the bundle has no ranker.
    """
    item_idx = arrays["item_idx"]
    scores = scoring.score(bundle, np.ascontiguousarray(arrays["inputs"]))
    if "boost" in arrays:
        scores = scores + arrays["boost"]
    rows, _ = arrangement.arranged(
        how,
        item_idx,
        scores,
        arrays["keep"],
        arrays["category"],
        arrays.get("fresh"),
        diversity.vectors(bundle) if how.diversity else None,
    )
    return item_idx[rows], scores[rows]
