"""The bundle: everything that scoring needs, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import position

if TYPE_CHECKING:
    from pipelines.core.models.ranking import Ranker

FORMAT: Final = 3


@dataclass(frozen=True)
class Bundle:
    """A model: ids, candidate sources, what users did, and the ranker. Arrays may be memory-mapped.

    ``manifest`` holds ``format``, ``feature_service``, ``features`` (the ranker's inputs in order), ``sources`` (names
    in order), ``cut`` (ISO 8601, UTC; every interaction lies before it), ``data_sha256`` and the hyperparameters.
    """

    manifest: Mapping[str, Any]
    user_ids: np.ndarray
    """str [users], sorted."""
    item_ids: np.ndarray
    """str [items], sorted."""
    histories: Histories
    """What each user did before the cut."""
    sources: Mapping[str, Mapping[str, np.ndarray]]
    """Source name -> its arrays."""
    signals: Mapping[str, np.ndarray]
    """What ``signals.fit`` made."""
    ranker: "Ranker | None"
    """None while the bundle only proposes candidates."""

    @property
    def repeats(self) -> bool:
        """Whether users are shown what they had before: groceries yes, gifts no."""
        return bool(self.manifest["params"]["candidates"].get("repeat", False))

    def user_idx(self, user_id: str) -> int:
        """The user's position, or -1."""
        return position(self.user_ids, user_id)

    def item_idx(self, item_id: str) -> int:
        """The item's position, or -1."""
        return position(self.item_ids, item_id)
