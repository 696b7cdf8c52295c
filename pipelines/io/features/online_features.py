"""The newest features of users and items, read from Redis in bulk: one round trip a call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from feast import FeatureStore, FeatureView
from feast.errors import FeatureServiceNotFoundException
from feast.types import Array, String

from pipelines.core.columns import Col
from pipelines.core.errors import ServiceError
from pipelines.core.features.freshness import Freshness
from pipelines.core.features.user_features import Column, UserFeatures, UserState
from pipelines.io.features import view_freshness
from pipelines.io.features.feast_store import answered

CARDS: Final = "item_card_v1"
HISTORY_VIEW: Final = "user_recent_items_v1"
RECENT_ITEMS: Final = "recent_items"
RECENT: Final = f"{HISTORY_VIEW}__{RECENT_ITEMS}"
CHUNK: Final = 10_000
"""Items in one read: what comes back of them is in memory at once."""
USER: Final = (Col.USER_ID,)
ITEM: Final = (Col.ITEM_ID,)
USER_ITEM: Final = (Col.ITEM_ID, Col.USER_ID)
USER_CATEGORY: Final = (Col.CATEGORY, Col.USER_ID)


@dataclass(frozen=True)
class Read:
    """What is asked of one view, as the online store's ``read_columns`` takes it."""

    view: FeatureView
    keys: Mapping[str, Sequence[str]]
    features: Sequence[str]


class OnlineFeatures:
    """The newest features of one feature service, read at every call.

    Names are full ones (``user_activity_v1__views_7d``); a value that is missing is NaN. What isn't a number isn't
    read, but for cards.
    """

    def __init__(self, store: FeatureStore, service: str) -> None:
        """Read what ``service`` is made of; nothing of Redis yet.

        Raises:
            ServiceError: the registry doesn't know the service.
        """
        self._store = store
        self._online: Any = store._get_provider().online_store
        self._views = {view.name: view for view in store.list_feature_views()}
        self._features = self._by_keys(service)
        self._cards = self._by_keys(CARDS, texts=True)[ITEM]
        of_user = self._features.get(USER, [])
        self._user = self._online.user_reader(store.config, [*of_user, (self._views[HISTORY_VIEW], [RECENT_ITEMS])])

    @property
    def as_of(self) -> datetime:
        """What the features know of ends here (UTC), live events aside. At most a minute old itself.

        Raises:
            ServiceError: a view was never materialized, or Redis doesn't answer.
        """
        ends = [view.online for view in self.freshness()]
        if not ends or None in ends:
            raise ServiceError("the online store is empty: run `make pipeline`")
        return min(end for end in ends if end is not None)

    def freshness(self) -> list[Freshness]:
        """How far each of the service's views is, by name.

        Raises:
            ServiceError: Redis doesn't answer.
            ConfigError: a view doesn't declare a maximum age.
        """
        published = view_freshness.published_online(self._store)
        views = self._store.registry.list_feature_views(self._store.project, allow_cache=True)
        served = {view.name for reads in self._features.values() for view, _ in reads}
        return [
            view_freshness.of_view(view, published)
            for view in sorted(views, key=lambda v: v.name)
            if view.name in served
        ]

    def request(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        """All that a recommendation needs, in one round trip: the user, the user with each item, in each category."""
        return self._asked(self._reads(USER, {Col.USER_ID: [user_id]}), user_id, item_ids, categories)

    def pairs(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        """As ``request``, without what is known of the user alone."""
        return self._asked([], user_id, item_ids, categories)

    def _asked(
        self, user: Sequence[Read], user_id: str, item_ids: Sequence[str], categories: Sequence[str]
    ) -> UserFeatures:
        pairs = self._reads(USER_ITEM, {Col.USER_ID: [user_id] * len(item_ids), Col.ITEM_ID: list(item_ids)})
        affinity = {Col.USER_ID: [user_id] * len(categories), Col.CATEGORY: list(categories)}
        of_categories = self._reads(USER_CATEGORY, affinity)
        answers = iter(self._read([*user, *pairs, *of_categories]))
        found = [_named(reads, [next(answers) for _ in reads]) for reads in (user, pairs, of_categories)]
        (alone, _), (of_items, _), (of_category, _) = found
        return UserFeatures(
            {name: float(values[0]) for name, values in alone.items()},
            of_items,
            of_category,
            {view: stamps for _, stamped in found for view, stamps in stamped.items()},
        )

    def state(self, user_id: str) -> UserState:
        """What is known of a user and of the user's session, in one round trip."""
        with answered():
            row = self._online.read_user(self._store.config, self._user, user_id)
        return UserState(
            features=row.numbers,
            recent=row.objects.get(RECENT) or (),
            session_items=row.session.item_ids,
            session_types=row.session.event_types,
            session_epoch_s=row.session.epoch_s,
        )

    def user(self, user_id: str) -> dict[str, float]:
        """A user's features; all NaN for one who isn't known."""
        return {name: float(values[0]) for name, values in self.users([user_id]).items()}

    def users(self, user_ids: Sequence[str]) -> dict[str, Column]:
        """Features of each user, float64 of shape [len(user_ids)]; NaN for one who isn't known."""
        reads = self._reads(USER, {Col.USER_ID: list(user_ids)})
        return _named(reads, self._read(reads))[0]

    def items(self, item_ids: Sequence[str]) -> dict[str, Column]:
        """Features of each item, float64 of shape [len(item_ids)]."""
        return self._chunked(self._features.get(ITEM, []), item_ids)

    def cards(self, item_ids: Sequence[str]) -> dict[str, Column]:
        """What a page shows of each item: title, category (str or None), price (NaN where unknown), in_stock (bool)."""
        read = self._chunked(self._cards, item_ids)
        columns = {name.partition("__")[2]: values for name, values in read.items()}
        return columns | {"in_stock": columns["in_stock"] == 1.0}  # an unknown item isn't

    def _chunked(self, features: Sequence[tuple[FeatureView, list[str]]], item_ids: Sequence[str]) -> dict[str, Column]:
        parts = []
        for start in range(0, max(len(item_ids), 1), CHUNK):
            keys = {Col.ITEM_ID: list(item_ids[start : start + CHUNK])}
            reads = [Read(view, keys, names) for view, names in features]
            parts.append(_named(reads, self._read(reads))[0])
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _reads(self, keys: tuple[str, ...], rows: Mapping[str, Sequence[str]]) -> list[Read]:
        return [Read(view, rows, names) for view, names in self._features.get(keys, [])]

    def _read(self, reads: Sequence[Read]) -> list[Any]:
        with answered():
            return list(self._online.read_columns(self._store.config, reads)) if reads else []

    def _by_keys(self, service: str, texts: bool = False) -> dict[tuple[str, ...], list[tuple[FeatureView, list[str]]]]:
        """Join keys (sorted) -> views of ``service`` with the features to read."""
        try:
            projections = self._store.get_feature_service(service).feature_view_projections
        except FeatureServiceNotFoundException:
            raise ServiceError(f"the registry has no feature service {service}: run `make apply`") from None
        found: dict[tuple[str, ...], list[tuple[FeatureView, list[str]]]] = {}
        for projection in projections:
            view = self._views[projection.name]
            names = [f.name for f in projection.features if texts or not (f.dtype == String or _is_array(f.dtype))]
            found.setdefault(tuple(sorted(view.join_keys)), []).append((view, names))
        return found


def _is_array(dtype: Any) -> bool:
    return isinstance(dtype, Array)


def _named(reads: Sequence[Read], answers: Sequence[Any]) -> tuple[dict[str, Column], dict[str, Column]]:
    """(full feature name -> values, view -> stamps)."""
    both = list(zip(reads, answers, strict=True))
    values = {f"{read.view.name}__{name}": answer.values[name] for read, answer in both for name in read.features}
    return values, {read.view.name: answer.event_timestamp for read, answer in both}
