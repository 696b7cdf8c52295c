"""Bulk reads from Redis: features of many entities and views in one round trip, as NumPy columns by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from feast.feature_view import FeatureView

Column = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Read:
    """What is asked of one view: join key -> values, all of one length n, and the names of its features."""

    view: FeatureView
    keys: Mapping[str, Sequence[Any] | Column]
    features: Sequence[str]


@dataclass(frozen=True)
class Columns:
    """What one view answers for n entities.

    ``values`` holds an array [n] for each feature. Numbers, bools and times (seconds since 1970) are float64, NaN where
    the value is missing or null. Texts (str), bytes and arrays (list) are object arrays, None where missing or null.
    ``event_timestamp`` [n] is datetime64[us], UTC, NaT where the view has no row of the entity.
    """

    values: dict[str, Column]
    event_timestamp: Column
