"""What a user did, as a request knows it: the model's history, live events, and what the request itself tells."""

from collections.abc import Mapping
from itertools import compress
from typing import Final

import numpy as np

from pipelines.core.features.user_features import UserState
from pipelines.core.lists.live_history import Recent, among, joined, of_user
from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import SECONDS_A_DAY, positions
from serving.filters import Query
from serving.snapshot import Snapshot

VIEW: Final = "view"
STEP_DAYS: Final = 1e-5
"""Apart are the ages of items of which only the order is known: about a second."""


def history_of(snapshot: Snapshot, user_idx: int, state: UserState, query: Query) -> Histories:
    """The history of one user now.

    The request's own recent items come last, so they are the newest; live events come with their times; what else the
    online store tells of recent items, without saying when, is as old as the last batch.
    """
    bundle = snapshot.bundle
    history, days = of_user(bundle.histories, user_idx), _days(snapshot.now - snapshot.cut_s)
    if not (query.recent_items or state.recent or len(state.session_items)):
        return joined(history, _NOTHING, days)
    weights: Mapping[str, float] = bundle.manifest["params"].get("event_weights", {})
    viewed = weights.get(VIEW, 1.0)
    since = state.session_epoch_s >= snapshot.cut_s  # what was before, the history has
    later = since.tolist()
    session = list(compress(state.session_items, later))
    known = set(session)
    ids = [*query.recent_items, *session, *(item for item in state.recent if item not in known)]
    asked, live = len(query.recent_items), len(session)
    items = positions(bundle.item_ids, ids)
    age, weight = np.arange(len(ids)) * STEP_DAYS, np.full(len(ids), viewed)
    if live:
        age[asked : asked + live] += np.maximum(snapshot.now - state.session_epoch_s[since], 0.0) / SECONDS_A_DAY
        weight[asked : asked + live] = [weights.get(kind, 1.0) for kind in compress(state.session_types, later)]
    rest = items[asked + live :]
    rest[among(history.item_idx, rest)] = -1  # of items that the history has already nothing new is known
    return joined(history, Recent(items, age, weight), days)


def _days(seconds: float) -> float:
    return max(seconds, 0.0) / SECONDS_A_DAY


_NOTHING: Final = Recent(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
