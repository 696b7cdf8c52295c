"""What a search measures settings on: the training cuts, never the window that models are evaluated on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.models.fitting import propose_only
from pipelines.core.models.interactions import before, encode, lasting, positions
from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.split import gains
from pipelines.io.models import known_items, training_data
from pipelines.io.preparation import events


@dataclass(frozen=True)
class NewestCut:
    """What was known at the newest training cut, and what users gained in the window after it."""

    past: Past
    users: np.ndarray
    """int [B]: positions of those who gained something, sampled as `assemble` does."""
    gains: csr_matrix
    """[B, items]; the last columns are items that nobody knew before the cut."""


def newest_cut(root: Path, plain: Mapping[str, Any]) -> NewestCut:
    """The newest training cut of ``data/training``; ``plain``: params.yaml as plain values.

    Raises:
        InputError: there is no training data, or nobody gained anything.
    """
    cut = datetime.fromisoformat(training_data.split(root)["training"][0]["cut"])
    _, log = events.published(root, plain["ranker"]["feature_service"])
    listed = known_items.known_at(root, cut)
    known = encode(before(log, cut), plain["event_weights"], listed[Col.ITEM_ID])
    past = Past(known, cut.timestamp(), Catalogue.of(known.item_ids, listed), plain["seed"])
    later = encode(lasting(log, cut, cut + timedelta(days=plain["split"]["window_days"])), plain["event_weights"])
    settings = {name: value for name, value in plain["candidates"].items() if not isinstance(value, dict)}
    bare = propose_only(log, cut, {**plain, "candidates": settings}, "", listed)
    user_ids = later.user_ids[positions(known.user_ids, later.user_ids) >= 0]
    found = gains(bare, later, user_ids)
    gaining = np.flatnonzero(np.diff(found.matrix.indptr))
    if not len(gaining):
        raise InputError(f"nobody turned to anything new after {cut.date()}: there is nothing to search by")
    rng = np.random.default_rng([plain["seed"], int(cut.timestamp())])
    chosen = np.sort(rng.permutation(gaining)[: plain["split"]["max_users"]])
    return NewestCut(past, positions(known.user_ids, user_ids[chosen]), found.matrix[chosen])
