"""A checkerboard log: user u has viewed the items of u's own parity, all but the one on the diagonal."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from pipelines.core.columns import EVENT_SCHEMA, UTC_US, Col
from pipelines.core.models import scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates
from pipelines.core.models.fitting import propose_only
from pipelines.core.models.interactions import encode
from pipelines.core.models.past import Catalogue, Past

SIZE = 12
START = datetime(2026, 2, 1, tzinfo=UTC)
CUT = START + timedelta(days=2 * SIZE)
PARAMS = {
    "seed": 7,
    "event_weights": {"view": 1.0, "click": 2.0, "add_to_cart": 4.0, "remove_from_cart": 0.0, "purchase": 8.0},
    "candidates": {
        "svd": {"factors": 2, "ridge": 0.0, "half_life_days": 60, "user_scale": 0.5, "item_scale": 0.4},
        "covisitation": {"window": 10, "half_life_days": 60, "neighbours": 12},
        "popularity": {"half_life_days": 7},
    },
    "split": {"window_days": 7},
    "ranker": {"feature_service": "ranker_v1"},
}


def events(*more: dict[str, object]) -> pa.Table:
    """The log, and ``more`` rows."""
    rows = [
        {"user_id": f"u{u:02}", "item_id": f"i{i:02}", "timestamp": START + timedelta(days=u + i)}
        for u in range(SIZE)
        for i in range(SIZE)
        if (u + i) % 2 == 0 and u != i
    ]
    numbered = [{"event_id": f"e{n:04}", "event_type": "view", "quantity": 1, **row} for n, row in enumerate(rows)]
    return pa.Table.from_pylist([*numbered, *more], EVENT_SCHEMA.append(pa.field(Col.CANCELLED_AT, UTC_US)))


def bundle(*more: dict[str, object]) -> Bundle:
    """The sources fitted on the log."""
    return propose_only(events(*more), CUT, PARAMS, "no file")


def past(*more: dict[str, object], rows: slice = slice(None)) -> Past:
    """What a source is fitted on: the log, or some ``rows`` of it."""
    log = events(*more)
    interactions = encode(log.take(np.arange(len(log))[rows]), PARAMS["event_weights"])
    return Past(interactions, CUT.timestamp(), Catalogue.unknown(len(interactions.item_ids)), seed=7)


def proposed(model: Bundle, users: Sequence[int], n_per_source: int) -> Candidates:
    """Candidates of some users; -1 is an unknown one."""
    return scoring.candidates(model, model.histories.take(np.asarray(users)), n_per_source)


USERS = np.arange(SIZE, dtype=np.int32)
