"""The lists of many users, in batches, by the one scoring path."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.lists.arrangement import SPREAD, Arrangement, arranged
from pipelines.core.lists.live_history import known_since
from pipelines.core.models import scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates, TopK
from pipelines.io import parallel
from pipelines.io.features import feast_store
from pipelines.io.features.online_features import OnlineFeatures
from pipelines.io.models.mlflow_recommender import Known
from pipelines.io.models.shop_rules import Active
from pipelines.settings import Settings

SCHEMA: Final = pa.schema(
    [
        (Col.USER_ID, pa.string()),
        (Col.ITEM_ID, pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("source", pa.string()),
    ]
)
"""``rank`` counts from 1; ``source`` is the candidate source that ranked the item best."""
NO_RULES: Final = Active()


def read(settings: Settings, bundle: Bundle) -> Known:
    """What the online store knows of the bundle's items now; of users it is asked later.

    Raises:
        ServiceError: Postgres or Redis doesn't answer, or the store is empty.
    """
    store = feast_store.open_store(settings)
    return Known(bundle, OnlineFeatures(store, bundle.manifest["feature_service"]))


class UserLists:
    """Lists of what is in stock and not hidden, without what a user had, unless things repeat in this shop."""

    def __init__(self, known: Known, active: Active = NO_RULES) -> None:
        """``active``: the shop's rules that are in force."""
        self._known, self._active = known, active
        self._open = known.cards.in_stock if active.visible is None else active.visible[True]

    def tables(
        self, user_ids: Sequence[str], k: int, done: Callable[[int], object] = lambda _: None
    ) -> Iterator[pa.Table]:
        """The best ``k`` items of each user, a batch of users a table of SCHEMA; popular ones to an unknown user.

        Batches are worked out on all processors; ``done`` is told the users of each.
        """
        parts = [user_ids[part] for part in scoring.batches(len(user_ids))]
        tables = parallel.ordered(partial(self._table, users, k) for users in parts)  # scoring runs without the GIL
        for users, table in zip(parts, tables, strict=True):
            yield table
            done(len(users))

    def _table(self, users: Sequence[str], k: int) -> pa.Table:
        bundle, best = self._known.bundle, self._best(users, k)
        columns = (
            np.array(users, object)[best.user_pos],
            bundle.item_ids[best.item_idx].astype(object),
            best.rank + 1,
            best.scores,
            np.array(bundle.manifest["sources"], object)[best.source],
        )
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)

    def _best(self, users: Sequence[str], k: int) -> TopK:
        known, pins = self._known, self._active.pins()
        bundle = known.bundle
        history = bundle.histories.take(np.array([bundle.user_idx(user) for user in users], np.int32))
        per_source = int(bundle.manifest["params"]["candidates"]["per_source"])
        proposed = scoring.candidates(bundle, history, per_source, [item for _, item in pins])
        shown = np.bincount(proposed.user_pos[self._open[proposed.item_idx]], minlength=len(users))
        if len(users) == 1:
            proposed = scoring.filled(bundle, history, proposed, self._open, k, known.cards.codes)
        elif (shown < k).any():
            return self._in_two(users, k, shown < k)
        features = known.features(users, proposed)
        scores = scoring.rank(bundle, proposed, features, known.now, known.ranked)
        boost = self._active.boost(known, proposed.item_idx)
        popular = np.diff(history.indptr) == 0
        hows = [Arrangement(k, pins=pins, spread=SPREAD if unknown else None) for unknown in popular.tolist()]
        return self._arranged(hows, proposed, scores if boost is None else scores + boost, features)

    def _arranged(
        self,
        hows: Sequence[Arrangement],
        proposed: Candidates,
        scores: np.ndarray,
        features: Mapping[str, float | np.ndarray],
    ) -> TopK:
        """The list of each user, made as ``hows`` say."""
        keep, category = self._keep(proposed, features), self._known.cards.codes[proposed.item_idx]
        bounds = np.searchsorted(proposed.user_pos, np.arange(len(hows) + 1)).tolist()
        rows = []
        for how, start, end in zip(hows, bounds, bounds[1:], strict=False):
            of = slice(start, end)
            rows.append(start + arranged(how, proposed.item_idx[of], scores[of], keep[of], category[of])[0])
        chosen = np.concatenate(rows)
        rank = np.concatenate([np.arange(len(some), dtype=np.int32) for some in rows])
        return TopK(proposed.user_pos[chosen], proposed.item_idx[chosen], scores[chosen], proposed.source[chosen], rank)

    def _in_two(self, users: Sequence[str], k: int, short: np.ndarray) -> TopK:
        """Those who have too few candidates are filled up, each alone, beside all others."""
        groups = [np.flatnonzero(~short), *np.flatnonzero(short)[:, None]]
        parts = [(group, self._best([users[n] for n in group], k)) for group in groups if len(group)]
        user_pos = np.concatenate([group[best.user_pos] for group, best in parts]).astype(np.int32)
        order = np.argsort(user_pos, kind="stable")
        columns = (
            np.concatenate([getattr(best, name) for _, best in parts])[order]
            for name in ("item_idx", "scores", "source", "rank")
        )
        return TopK(user_pos[order], *columns)

    def _keep(self, proposed: Candidates, features: Mapping[str, float | np.ndarray]) -> np.ndarray:
        """bool [n]: may be shown, and nothing that the user has come to have since the model was made."""
        met = known_since(features, len(proposed.item_idx), self._known.bundle.repeats)
        keep: np.ndarray = self._open[proposed.item_idx] & ~met
        return keep
