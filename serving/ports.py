"""What the service needs from outside, as interfaces: MLflow and Feast in production, anything else in a test."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np

from pipelines.core.features.freshness import Freshness
from pipelines.core.features.user_features import UserFeatures, UserState
from pipelines.core.models.bundle import Bundle


class Features(Protocol):
    """The online features of one feature service. Names are full: ``view__feature``; values float64, NaN where absent.

    Every member raises ServiceError where the store can't be read.
    """

    @property
    def as_of(self) -> datetime:
        """What the features know of ends here, UTC: the end of the last materialization of what was published."""

    def freshness(self) -> Sequence[Freshness]:
        """How far each feature view of the service is, and how old it may be."""

    def state(self, user_id: str) -> UserState:
        """The user's features and session, in one round trip."""

    def user(self, user_id: str) -> Mapping[str, float]:
        """The user's features."""

    def request(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        """All that a recommendation reads: of the user, of the user with each item and in each category."""

    def pairs(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        """As ``request``, without what is known of the user alone."""

    def items(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Name → float64 [n]: the items' features."""

    def cards(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """What people see of items: title, category, price, in_stock; each [n], None or NaN where unknown."""


class Backends(Protocol):
    """Where models and features come from. Every method raises ServiceError where its server doesn't answer."""

    def aliases(self) -> Mapping[str, int]:
        """Alias → the version of the model that it names now. Asked every few seconds."""

    def bundle(self, version: int) -> Bundle:
        """Fetch and open a version."""

    def release(self, in_use: Collection[int]) -> None:
        """Only these versions are in use from now on."""

    def features(self, service: str) -> Features:
        """Open the online features of a feature service."""
