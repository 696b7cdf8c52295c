"""Recent popularity: what everybody wants these days, on each device and on all together."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.core.models.histories import Histories
from pipelines.core.models.past import Past
from pipelines.core.models.search import Arrays, Shared, best_first


def fit(past: Past, *, half_life_days: float) -> Arrays:
    """Score each item by the decayed number of its interactions: ``scores`` float32 and ``order`` int32 [items].

    Where the log knows devices, ``devices`` str [D], and ``device_scores`` and ``device_order`` [D, items] too.
    """
    log = past.interactions
    values = log.decayed(past.at, half_life_days)
    scores = np.bincount(log.item_idx, values, minlength=past.n_items).astype(np.float32)
    found = {"scores": scores, "order": best_first(scores)}
    if log.device is None:
        return found
    on = [np.flatnonzero(log.device == code) for code in range(len(log.devices))]
    by_device = np.stack([np.bincount(log.item_idx[at], values[at], past.n_items) for at in on]).astype(np.float32)
    order = np.stack([best_first(row) for row in by_device])
    return {**found, "devices": np.array(log.devices), "device_scores": by_device, "device_order": order}


def scorer(arrays: Any, histories: Histories) -> Shared:
    """The same for everybody, known or not."""
    return Shared(arrays["scores"], arrays["order"], histories.users)


def on_device(arrays: Mapping[str, np.ndarray], device: str) -> Mapping[str, np.ndarray]:
    """The arrays of what is popular on a device; of all together where nothing is known of it."""
    at = np.flatnonzero(arrays["devices"] == device) if "devices" in arrays else np.zeros(0, int)
    if not len(at):
        return arrays
    return {"scores": arrays["device_scores"][at[0]], "order": arrays["device_order"][at[0]]}
