"""What the service needs from outside, as interfaces: MLflow and Feast in production, anything else in a test."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np

from pipelines.core.bundle import Bundle


class Features(Protocol):
    """The online features of one feature service. Names are full: ``view__feature``; values float64, NaN where absent.

    Every member raises ServiceError where the store can't be read.
    """

    @property
    def as_of(self) -> datetime:
        """End of the last materialization, UTC."""

    def user(self, user_id: str) -> Mapping[str, float]:
        """The user's features."""

    def user_items(self, user_id: str, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Name → float64 [n]: what the user did with each item."""

    def user_categories(self, user_id: str, categories: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Name → float64 [n]: what the user did in each category; empty where the service reads none of it."""

    def items(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Name → float64 [n]: the items' features."""

    def cards(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """What people see of items: title, category, price, in_stock; each [n], None or NaN where unknown."""


class Backends(Protocol):
    """Where models and features come from. Every method raises ServiceError where its server doesn't answer."""

    def champion(self) -> int | None:
        """The version of the model that is promoted now; None where none is."""

    def bundle(self, version: int) -> Bundle:
        """Fetch and open a version."""

    def features(self, service: str) -> Features:
        """Open the online features of a feature service."""
