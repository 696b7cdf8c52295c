"""Small logs written out by hand."""

import numpy as np

from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.past import Catalogue, Past

AT = 1_000 * SECONDS_A_DAY


def met(*events: tuple[int, int, float], items: int, catalogue: Catalogue | None = None) -> Past:
    """Events (user, item, days before the cut), each of weight 1."""
    events = tuple(sorted(events, key=lambda event: -event[2]))
    user, item, age = (np.array(column) for column in zip(*events, strict=True))
    ids = [np.array([f"{kind}{n}" for n in range(count)]) for kind, count in (("u", user.max() + 1), ("i", items))]
    times = AT - age * SECONDS_A_DAY
    weight = np.ones(len(events), np.float32)
    log = Interactions(*ids, user.astype(np.int32), item.astype(np.int32), weight, times)
    return Past(log, AT, catalogue or Catalogue.unknown(items), seed=7)
