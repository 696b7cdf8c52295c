"""Candidates as tables for training and evaluation: what they came to, and which of them are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from pipelines.core.columns import UTC_US, Col
from pipelines.core.models import signals
from pipelines.core.models.candidates import Candidates

GROUP: Final = "group"
LABEL: Final = "label"
KEYS: Final = (Col.USER_ID, Col.ITEM_ID, Col.CATEGORY, Col.EVENT_TIMESTAMP)
"""What the feature store is asked by."""


@dataclass(frozen=True)
class Examples:
    """Candidates of B users with what they came to and what was known of them."""

    candidates: Candidates
    labels: np.ndarray
    """float32 [n], 0 where nothing came of it."""
    groups: np.ndarray
    """int32 [B]: a user at a cut."""
    user_ids: np.ndarray
    """str [B]."""
    at: np.ndarray
    """float64 [B]: the user's cut, epoch seconds."""
    features: Mapping[str, np.ndarray]
    """Full feature name -> float64 [n]."""


def graded(candidates: Candidates, gains: csr_matrix) -> np.ndarray:
    """float32 [n]: the gain of each candidate, 0 where nothing came of it; ``gains``: CSR batch by items."""
    row = np.repeat(np.arange(gains.shape[0]), np.diff(gains.indptr))
    cells = np.append(row * np.int64(gains.shape[1]) + gains.indices, np.iinfo(np.int64).max)
    values = np.append(gains.data, 0.0)
    order = np.argsort(cells)
    wanted = candidates.user_pos * np.int64(gains.shape[1]) + candidates.item_idx
    at = order[np.searchsorted(cells, wanted, sorter=order)]
    return np.where(cells[at] == wanted, values[at], 0.0).astype(np.float32)


def sampled(candidates: Candidates, labels: np.ndarray, negatives: int, rng: np.random.Generator) -> np.ndarray:
    """Positions to train on, ascending: each user's positive candidates and ``negatives`` others.

    Users without a positive candidate teach a ranker nothing and are left out.
    """
    has_positive = np.zeros(candidates.users, bool)
    has_positive[candidates.user_pos[labels > 0]] = True
    order = np.lexsort((rng.random(len(labels)), labels > 0, candidates.user_pos))
    user = candidates.user_pos[order]
    place = np.arange(len(order)) - np.searchsorted(user, user)  # among a user's negatives, in random order
    keep = has_positive[user] & ((labels[order] > 0) | (place < negatives))
    kept: np.ndarray = np.sort(order[keep])
    return kept


def to_table(
    candidates: Candidates,
    labels: np.ndarray,
    *,
    sources: Sequence[str],
    user_ids: np.ndarray,
    item_ids: np.ndarray,
    categories: np.ndarray,
    cut: datetime,
    first_group: int,
) -> pa.Table:
    """The candidates of a batch of users ``user_ids`` [B], one row each, with the keys that the feature store takes.

    ``item_ids``, ``categories``: str [items]. A user's group is ``first_group`` plus its position in the batch.
    """
    n = len(candidates.item_idx)
    columns = {
        GROUP: candidates.user_pos + np.int32(first_group),
        Col.USER_ID: user_ids[candidates.user_pos],
        Col.ITEM_ID: item_ids[candidates.item_idx],
        Col.CATEGORY: categories[candidates.item_idx],
        Col.EVENT_TIMESTAMP: pa.array([cut], UTC_US).take(pa.array(np.zeros(n, np.int32))),
        "item_idx": candidates.item_idx,
        "source": candidates.source,
        LABEL: labels,
    }
    for s, name in enumerate(sources):
        columns[f"{name}_score"] = candidates.source_scores[:, s]
        columns[f"{name}_rank"] = candidates.source_ranks[:, s]
    columns |= dict(zip(signals.NAMES, candidates.signals.T, strict=True))
    return pa.table(columns)


def from_table(table: pa.Table, sources: Sequence[str]) -> Examples:
    """What ``to_table`` wrote for whole groups, joined with features: every other column of the table."""
    groups, first, user_pos = np.unique(table[GROUP].to_numpy(), return_index=True, return_inverse=True)
    columns = {name: table[name].to_numpy() for name in table.column_names if name not in KEYS}
    stacked = {w: np.stack([columns[f"{s}_{w}"] for s in sources], axis=1) for w in ("score", "rank")}
    candidates = Candidates(
        users=len(groups),
        user_pos=user_pos.astype(np.int32),
        item_idx=columns["item_idx"],
        source_scores=stacked["score"],
        source_ranks=stacked["rank"],
        source=columns["source"],
        signals=np.stack([columns[name] for name in signals.NAMES], axis=1),
    )
    at = table[Col.EVENT_TIMESTAMP].cast(pa.int64()).to_numpy()[first] / 1e6
    return Examples(candidates, columns[LABEL], groups, table[Col.USER_ID].to_numpy()[first].astype(str), at, columns)
