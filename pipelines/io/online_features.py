"""The newest features of users and items, read from Redis through Feast."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from feast import FeatureStore
from feast.errors import FeatureServiceNotFoundException

from pipelines.core.columns import Col
from pipelines.core.errors import ServiceError
from pipelines.io.feast_store import answered

CARDS: Final = "item_card_v1"
CHUNK: Final = 500  # entities in one read: Redis answers others in between

Column = np.ndarray[Any, Any]


class OnlineFeatures:
    """The newest features of users and items, read from Redis through Feast at every call.

    Names are full ones (``user_activity_v1__views_7d``); a value that is missing is NaN.
    """

    def __init__(self, store: FeatureStore, service: str) -> None:
        """Read what ``service`` is made of; nothing of Redis yet.

        Raises:
            ServiceError: the registry doesn't know the service.
        """
        self._store = store
        self._views = {view.name: view for view in store.list_feature_views()}
        self._features = self._by_keys(service)
        self._cards = self._by_keys(CARDS)[(Col.ITEM_ID,)]

    @property
    def as_of(self) -> datetime:
        """The end of the last materialization (UTC): what the features know of. At most a minute old itself.

        Raises:
            ServiceError: a view was never materialized.
        """
        views = self._store.registry.list_feature_views(self._store.project, allow_cache=True)
        ends = [view.most_recent_end_time for view in views if view.name in self._views]
        if not ends or None in ends:
            raise ServiceError("the online store is empty: run `make pipeline`")
        return min(ends).astimezone(UTC)

    def user(self, user_id: str) -> dict[str, float]:
        """A user's features; all NaN for one who isn't known."""
        columns = self._numbers((Col.USER_ID,), {Col.USER_ID: [user_id]})
        return {name: float(values[0]) for name, values in columns.items()}

    def user_items(self, user_id: str, item_ids: Sequence[str]) -> dict[str, Column]:
        """Features of a user with each item, float64 of shape [len(item_ids)]."""
        keys = {Col.USER_ID: [user_id] * len(item_ids), Col.ITEM_ID: list(item_ids)}
        return self._numbers((Col.ITEM_ID, Col.USER_ID), keys)

    def items(self, item_ids: Sequence[str]) -> dict[str, Column]:
        """Features of each item, float64 of shape [len(item_ids)]."""
        return self._numbers((Col.ITEM_ID,), {Col.ITEM_ID: list(item_ids)})

    def cards(self, item_ids: Sequence[str]) -> dict[str, Column]:
        """What a page shows of each item: title, category (str or None), price (NaN where unknown), in_stock (bool)."""
        read = self._read(self._cards, {Col.ITEM_ID: list(item_ids)})
        columns = {name.partition("__")[2]: values for name, values in read.items()}
        return {
            "title": np.array(columns["title"], dtype=object),
            "category": np.array(columns["category"], dtype=object),
            "price": _floats(columns["price"]),
            "in_stock": np.array(columns["in_stock"], dtype=bool),  # an unknown item isn't
        }

    def _by_keys(self, service: str) -> dict[tuple[str, ...], list[str]]:
        """Join keys (sorted) -> feature references of ``service``."""
        try:
            projections = self._store.get_feature_service(service).feature_view_projections
        except FeatureServiceNotFoundException:
            raise ServiceError(f"the registry has no feature service {service}: run `make apply`") from None
        found: dict[tuple[str, ...], list[str]] = {}
        for projection in projections:
            keys = tuple(sorted(self._views[projection.name].join_keys))
            found.setdefault(keys, []).extend(f"{projection.name}:{field.name}" for field in projection.features)
        return found

    def _numbers(self, keys: tuple[str, ...], rows: dict[str, list[str]]) -> dict[str, Column]:
        return {name: _floats(values) for name, values in self._read(self._features[keys], rows).items()}

    def _read(self, features: list[str], rows: dict[str, list[str]]) -> dict[str, list[Any]]:
        """Full feature name -> a value for each row, None where it is missing."""
        names = [feature.replace(":", "__") for feature in features]
        read: dict[str, list[Any]] = {name: [] for name in names}
        length = len(next(iter(rows.values())))
        for start in range(0, length, CHUNK):
            chunk = {key: values[start : start + CHUNK] for key, values in rows.items()}
            with answered():
                response = self._store.get_online_features(features, chunk, full_feature_names=True).to_dict()
            for name in names:  # by name: Feast's order of columns is arbitrary
                read[name] += response[name]
        return read


def _floats(values: list[Any]) -> Column:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
