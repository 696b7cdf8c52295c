"""What every model of the benchmark is given, and what it is measured by."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.models.interactions import Interactions, positions
from pipelines.core.models.past import Catalogue
from pipelines.core.models.peers.holdout import Holdout, split
from pipelines.io import tables
from pipelines.io.models import interaction_log, item_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """Predict the window after the cut from what is before it."""

    past: Interactions
    cut: float
    """Epoch seconds."""
    window_days: float
    holdout: Holdout
    catalogue: Catalogue
    user_ids: pa.Array
    """As they came, in the order of ``past.user_ids``."""
    item_ids: pa.Array
    """As they came, in the order of ``past.item_ids``."""


def read(
    interactions: Path, items: Path | None, cut: datetime, window_days: float, event_weights: Mapping[str, float]
) -> Task:
    """The task of two files.

    Raises:
        InputError: a file can't be used, or nobody can be measured at this cut.
    """
    whole = interaction_log.read(interactions, event_weights)
    past, holdout = split(whole.interactions, cut.timestamp(), window_days)
    if reason := _nobody(whole.interactions, past, holdout, cut, window_days):
        raise InputError(f"{interactions}: {reason}")
    known = item_file.read(items, past.item_ids) if items else Catalogue.unknown(len(past.item_ids))
    sizes = (len(past.epoch_s), len(past.user_ids), len(past.item_ids), cut.isoformat(), len(holdout.users))
    log.info("{:,} interactions of {:,} users with {:,} items before {}, {:,} users to measure".format(*sizes))
    return Task(
        past=past,
        cut=cut.timestamp(),
        window_days=window_days,
        holdout=holdout,
        catalogue=replace(known, price=_prices(known.price, past, whole.price)),
        user_ids=whole.user_ids.take(pa.array(positions(whole.interactions.user_ids, past.user_ids))),
        item_ids=whole.item_ids.take(pa.array(positions(whole.interactions.item_ids, past.item_ids))),
    )


def write(path: Path, task: Task, ranked: np.ndarray, scores: np.ndarray) -> None:
    """Recommendations to the measured users, ids as they came; ``ranked``, ``scores``: [B, k], -1 after the last."""
    row, place = np.nonzero(ranked >= 0)
    columns = {
        Col.USER_ID: task.user_ids.take(pa.array(task.holdout.users[row])),
        Col.ITEM_ID: task.item_ids.take(pa.array(ranked[row, place])),
        "rank": pa.array(place + 1, pa.int32()),
        "score": pa.array(scores[row, place], pa.float32()),
    }
    recommendations = pa.table(columns)
    tables.write(path, [recommendations], recommendations.schema)


def _nobody(whole: Interactions, past: Interactions, holdout: Holdout, cut: datetime, days: float) -> str | None:
    """Why there is nobody to measure; None where there is somebody."""
    if not len(whole.epoch_s):
        return "no event has a weight above 0 (params.yaml, event_weights)"
    first, last = (datetime.fromtimestamp(t, cut.tzinfo).isoformat() for t in whole.epoch_s[[0, -1]])
    spans = f"it goes from {first} to {last}"
    if not len(past.epoch_s):
        return f"nothing happened before {cut.isoformat()}, {spans}"
    if not len(holdout.users):
        return f"in the {days:g} days from {cut.isoformat()} on nobody with a history has a new item, {spans}"
    return None


def _prices(known: np.ndarray, past: Interactions, price: np.ndarray) -> np.ndarray:
    """float64 [items]: of an item whose price isn't known, what was last paid for it before the cut."""
    paid = price[: len(past.epoch_s)]
    told = np.isfinite(paid) & (paid > 0)
    last = np.full(len(known), np.nan)
    last[past.item_idx[told]] = paid[told]  # in the order of time: the last one stays
    return np.where(np.isfinite(known), known, last)
