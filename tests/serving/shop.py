"""A checkerboard shop: user u likes the items of u's own parity and has seen all of them but the one on the diagonal.

A real bundle on it, and backends in memory: what the service gets injected in place of MLflow and Feast.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from pipelines.core import ranking, scoring, sources
from pipelines.core.bundle import FORMAT, Bundle, seen
from pipelines.core.columns import EVENT_SCHEMA
from pipelines.core.errors import ServiceError
from pipelines.core.freshness import Freshness
from pipelines.core.interactions import Interactions, encode
from pipelines.core.user_features import UserFeatures

SIZE = 10
CUT = datetime(2026, 3, 1, tzinfo=UTC)
WEIGHTS = {"view": 1.0, "click": 2.0, "add_to_cart": 4.0, "remove_from_cart": 0.0, "purchase": 8.0}
OPTIONS = {
    "svd": {"factors": 2, "half_life_days": 60, "user_scale": 0.5, "item_scale": 0.4},
    "covisitation": {"window": 10, "half_life_days": 60, "neighbours": 10},
    "popularity": {"half_life_days": 7},
}
RANKER = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 1, "colsample": 1, "trees": 20}


def events() -> pa.Table:
    """Views in February 2026; the day is 1 + user + item, so later items are more popular at the cut."""
    pairs = [(u, i) for u in range(SIZE) for i in range(SIZE) if (u + i) % 2 == 0 and u != i]
    rows = [
        {
            "event_id": f"e{u}-{i}",
            "user_id": f"U{u}",
            "item_id": f"P{i}",
            "event_type": "view",
            "timestamp": datetime(2026, 2, 1 + u + i, 12, tzinfo=UTC),
            "session_id": f"s{u}-{i}",
            "quantity": 1,
        }
        for u, i in pairs
    ]
    return pa.Table.from_pylist(rows, EVENT_SCHEMA)


def bundle(per_source: int = 5, service: str = "ranker_v1") -> Bundle:
    """A model of the shop whose ranker has learned the checkerboard."""
    interactions = encode(events(), WEIGHTS)
    fitted = sources.fit_all(interactions, CUT.timestamp(), OPTIONS, seed=7)
    indptr, indices = seen(interactions)
    manifest = {
        "format": FORMAT,
        "feature_service": service,
        "features": ranking.input_names(list(fitted), service),
        "sources": list(fitted),
        "cut": CUT.isoformat(),
        "params": {"candidates": {"per_source": per_source}},
    }
    unranked = Bundle(manifest, interactions.user_ids, interactions.item_ids, indptr, indices, fitted, None)
    return Bundle(**(vars(unranked) | {"ranker": _ranker(unranked, interactions)}))


def _ranker(unranked: Bundle, interactions: Interactions):
    candidates = scoring.candidates(unranked, np.arange(len(interactions.user_ids), dtype=np.int32), SIZE)
    service = unranked.manifest["feature_service"]
    features = dict.fromkeys(ranking.required(service), np.nan)
    names = list(unranked.manifest["sources"])
    inputs = ranking.inputs(names, candidates, features, CUT.timestamp(), service)
    liked = (candidates.user_pos % 2 == candidates.item_idx % 2).astype(np.float32)
    return ranking.train(inputs, liked, candidates.user_pos, unranked.manifest["features"], RANKER, seed=7)


@dataclass
class Shelf:
    """Online features in memory. ``down``: every read fails as in an unreachable store; ``empty``: it holds nothing."""

    as_of: datetime = CUT
    service: str = "ranker_v1"
    down: bool = False
    empty: bool = False
    prices: dict[str, float] = field(default_factory=lambda: {f"P{i}": 10.0 * (i + 1) for i in range(SIZE)})
    sold_out: set[str] = field(default_factory=set)

    def freshness(self) -> list[Freshness]:
        return [Freshness("user_activity_v1", timedelta(hours=36), self.as_of)]

    def user(self, user_id: str) -> Mapping[str, float]:
        self._read()
        return dict.fromkeys(self._names("user_activity"), 3.0 if user_id.startswith("U") else np.nan)

    def request(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        affinity = {name: np.array([float(c == "odd") for c in categories]) for name in self._names("user_category")}
        return UserFeatures(self.user(user_id), self._columns("user_item_activity", item_ids), affinity, {})

    def items(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        return self._columns("item_", item_ids)

    def cards(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        self._read()
        return {
            "title": np.array([None if self.empty else f"Product {i}" for i in item_ids], object),
            "category": np.array(["even" if int(i[1:]) % 2 == 0 else "odd" for i in item_ids], object),
            "price": np.array([self.prices.get(i, np.nan) for i in item_ids]),
            "in_stock": np.array([i not in self.sold_out for i in item_ids]),
        }

    def _columns(self, prefix: str, item_ids: Sequence[str]) -> dict[str, np.ndarray]:
        self._read()
        return {name: np.ones(len(item_ids)) for name in self._names(prefix)}

    def _names(self, prefix: str) -> list[str]:
        return [name for name in ranking.required(self.service) if name.startswith(prefix)]

    def _read(self) -> None:
        if self.down:
            raise ServiceError("Redis doesn't answer: connection refused")


@dataclass
class Memory:
    """Backends in memory: versions of the model, the champion's number, a shelf."""

    bundles: dict[int, Bundle]
    version: int | None = 1
    shelf: Shelf = field(default_factory=Shelf)
    down: bool = False

    def champion(self) -> int | None:
        if self.down:
            raise ServiceError("MLflow at sqlite:///x: it is gone")
        return self.version

    def bundle(self, version: int) -> Bundle:
        return self.bundles[version]

    def features(self, service: str) -> Shelf:
        self.shelf.service = service
        return self.shelf


def eventually(happens: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until it happens, or fail."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
