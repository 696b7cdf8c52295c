"""The bundle: everything that scoring needs, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipelines.core.interactions import Interactions, positions

if TYPE_CHECKING:
    import xgboost as xgb

FORMAT: Final = 1


@dataclass(frozen=True)
class Bundle:
    """A model: ids, candidate sources, what users have seen, and the ranker. Arrays may be memory-mapped.

    ``manifest`` holds ``format``, ``feature_service``, ``features`` (the ranker's inputs in order), ``sources`` (names
    in order), ``cut`` (ISO 8601, UTC; every interaction lies before it), ``data_sha256`` and the hyperparameters.
    """

    manifest: Mapping[str, Any]
    user_ids: np.ndarray
    """str [users], sorted."""
    item_ids: np.ndarray
    """str [items], sorted."""
    seen_indptr: np.ndarray
    """int64 [users + 1]: CSR users by items of what each user interacted with."""
    seen_indices: np.ndarray
    """int32 [nnz]."""
    sources: Mapping[str, Mapping[str, np.ndarray]]
    """Source name -> its arrays."""
    ranker: "xgb.Booster | None"
    """LambdaMART; None while the bundle only proposes candidates."""

    def user_idx(self, user_id: str) -> int:
        """The user's position, or -1."""
        return int(positions(self.user_ids, [user_id])[0])

    def item_idx(self, item_id: str) -> int:
        """The item's position, or -1."""
        return int(positions(self.item_ids, [item_id])[0])


def seen(interactions: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """(indptr, indices) of the CSR users by items of what each user interacted with."""
    matrix = interactions.user_items(interactions.weight)
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
