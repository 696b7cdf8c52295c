"""An audit's steps: draw a sample, count what it should be, compare both stores."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import numpy as np
from feast import FeatureStore
from psycopg import Connection

from pipelines.core.columns import Col
from pipelines.core.features import audit
from pipelines.core.features.audit import Pair, Tally
from pipelines.core.features.brute_force import Values
from pipelines.core.features.feature_views import VIEWS
from pipelines.io.features import audit_stores
from pipelines.io.features.audit_log import Log
from pipelines.io.progress import counting, progress

SECOND: Final = 1_000_000


def sample(log: Log, n: int, seed: int, as_of: datetime) -> list[Pair]:
    """``n`` pairs up to around ``as_of``, as many of each view that has entities; the same ones for a seed."""
    rng = np.random.default_rng(seed)
    entities = {view: log.entities(view, n // len(VIEWS) + 1, seed) for view in progress(VIEWS, "drawing a sample")}
    known = {view: found for view, found in entities.items() if found}
    ends = np.linspace(0, n, len(known) + 1).astype(int)
    span = log.first(), int(as_of.timestamp()) * SECOND
    return [
        pair
        for (view, found), some in zip(known.items(), np.diff(ends).tolist(), strict=True)
        for pair in audit.pairs(view, found, some, span, rng)
    ]


def expected(log: Log, pairs: Iterable[Pair], as_of: datetime) -> dict[Pair, Values | None]:
    """What the views promise for each pair; those that were drawn twice once."""
    different = sorted(set(pairs))
    until = int(as_of.timestamp()) * SECOND
    return dict(progress(log.expected(different, until), "counting event by event", len(different)))


def offline(store: FeatureStore, pairs: Iterable[Pair], expected: Mapping[Pair, Values | None]) -> dict[str, Tally]:
    """View -> what came of comparing the offline store's answer to each pair with the count."""
    tallies = {view: Tally() for view in VIEWS}
    with counting("offline store", len(expected)) as done:
        for view, asked in _by_view(pairs).items():
            for pair, found in audit_stores.offline(store, view, asked):
                want = expected[pair]
                gone = want is None and found is not None and audit.is_gone(view, found)
                tallies[view].add(pair, want, None if gone else found)
                done(1)
    return tallies


def online(store: FeatureStore, connection: Connection, pairs: Iterable[Pair]) -> dict[str, Tally]:
    """View -> what came of comparing the online store's row of each entity with that of the offline tables.

    As of the view's last materialization; a row that is newer was pushed live and is left out.
    """
    tallies = {view: Tally() for view in VIEWS}
    for view, asked in progress(_by_view(pairs).items(), "online store"):
        until = audit_stores.materialized(store, view)
        at, entities = round(until.timestamp() * SECOND), sorted({pair.keys for pair in asked})
        published = audit_stores.published(connection, view, entities, until)
        for keys, found in audit_stores.online(store, view, entities):
            if found and found[Col.EVENT_TIMESTAMP] > at:
                tallies[view].left_out += 1
            else:
                tallies[view].add(Pair(view, keys, at), published.get(keys), found)
    return tallies


def _by_view(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair.view].append(pair)
    return found
