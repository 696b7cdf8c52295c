"""A checkerboard shop: user u likes the items of u's own parity and has seen all of them but the one on the diagonal.

A real bundle on it, and backends in memory: what the service gets injected in place of MLflow and Feast.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from pipelines.core.columns import EVENT_SCHEMA
from pipelines.core.errors import ServiceError
from pipelines.core.features.freshness import Freshness
from pipelines.core.features.user_features import UserFeatures, UserState
from pipelines.core.models import ranking, scoring, signals, sources
from pipelines.core.models.bundle import FORMAT, Bundle
from pipelines.core.models.interactions import Interactions, encode
from pipelines.core.models.past import Catalogue, Past

SIZE = 10
CUT = datetime(2026, 3, 1, tzinfo=UTC)
WEIGHTS = {"view": 1.0, "click": 2.0, "add_to_cart": 4.0, "remove_from_cart": 0.0, "purchase": 8.0}
OPTIONS = {
    "svd": {"factors": 2, "ridge": 0.0, "half_life_days": 60, "user_scale": 0.5, "item_scale": 0.4},
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
    past = Past(interactions, CUT.timestamp(), Catalogue.unknown(len(interactions.item_ids)), seed=7)
    fitted = sources.fit_all(past, OPTIONS)
    item_signals = signals.fit(past, window_days=7)
    manifest = {
        "format": FORMAT,
        "feature_service": service,
        "features": ranking.input_names(list(fitted), service),
        "sources": list(fitted),
        "cut": CUT.isoformat(),
        "params": {"candidates": {"per_source": per_source}},
    }
    unranked = Bundle(
        manifest, interactions.user_ids, interactions.item_ids, past.histories, fitted, item_signals, None
    )
    return Bundle(**(vars(unranked) | {"ranker": _ranker(unranked, interactions)}))


def _ranker(unranked: Bundle, interactions: Interactions):
    candidates = scoring.candidates(unranked, unranked.histories, SIZE)
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
    newcomers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Items that came after the model: title and category."""
    sessions: dict[str, tuple] = field(default_factory=dict)
    """User -> what ``UserState`` holds behind the features."""
    met: set[tuple[str, str]] = field(default_factory=set)
    """(user, item) that have a row beside those of the events."""
    online: datetime | None = None
    """Until when the views know what happened; now where None."""

    def freshness(self) -> list[Freshness]:
        return [Freshness("user_activity_v1", timedelta(hours=36), self.online or datetime.now(UTC))]

    def user(self, user_id: str) -> Mapping[str, float]:
        return {name: float(values[0]) for name, values in self.users([user_id]).items()}

    def users(self, user_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        self._read()
        known = np.array([3.0 if user_id.startswith("U") else np.nan for user_id in user_ids])
        return dict.fromkeys(self._names("user_activity"), known)

    def state(self, user_id: str) -> UserState:
        return UserState(self.user(user_id), *self.sessions.get(user_id, ()))

    def request(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        affinity = {name: np.array([float(c == "odd") for c in categories]) for name in self._names("user_category")}
        pairs = self._columns("user_item_activity", item_ids)
        met = np.array([_has_met(user_id, i) or (user_id, i) in self.met for i in item_ids], bool)
        return UserFeatures(
            self.user(user_id), {name: np.where(met, values, np.nan) for name, values in pairs.items()}, affinity, {}
        )

    def pairs(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        return replace(self.request(user_id, item_ids, categories), user={})

    def items(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        return self._columns("item_", item_ids)

    def cards(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        self._read()
        return {
            "title": np.array([self._card(i)[0] for i in item_ids], object),
            "category": np.array([self._card(i)[1] for i in item_ids], object),
            "price": np.array([self.prices.get(i, np.nan) for i in item_ids]),
            "in_stock": np.array([i not in self.sold_out for i in item_ids]),
        }

    def _card(self, item_id: str) -> tuple[str | None, str | None]:
        """Title and category."""
        if item_id in self.newcomers:
            return self.newcomers[item_id]
        if item_id not in self.prices:
            return None, None
        return None if self.empty else f"Product {item_id}", "even" if int(item_id[1:]) % 2 == 0 else "odd"

    def _columns(self, prefix: str, item_ids: Sequence[str]) -> dict[str, np.ndarray]:
        self._read()
        return {name: np.ones(len(item_ids)) for name in self._names(prefix)}

    def _names(self, prefix: str) -> list[str]:
        return [name for name in ranking.required(self.service) if name.startswith(prefix)]

    def _read(self) -> None:
        if self.down:
            raise ServiceError("Redis doesn't answer: connection refused")


def _has_met(user_id: str, item_id: str) -> bool:
    """Whether the user has a row with the item: as ``events`` has it."""
    user, item = user_id.removeprefix("U"), item_id.removeprefix("P")
    return user.isdigit() and user != item and (int(user) + int(item)) % 2 == 0


@dataclass
class Memory:
    """Backends in memory: versions of the model, the champion's number, other aliases, a shelf."""

    bundles: dict[int, Bundle]
    version: int | None = 1
    others: dict[str, int] = field(default_factory=dict)
    in_use: set[int] = field(default_factory=set)
    shelf: Shelf = field(default_factory=Shelf)
    down: bool = False

    def aliases(self) -> Mapping[str, int]:
        if self.down:
            raise ServiceError("MLflow at sqlite:///x: it is gone")
        return self.others if self.version is None else {"champion": self.version, **self.others}

    def bundle(self, version: int) -> Bundle:
        return self.bundles[version]

    def release(self, in_use: Collection[int]) -> None:
        self.in_use = set(in_use)

    def features(self, service: str) -> Shelf:
        self.shelf.service = service
        return self.shelf


def eventually(happens: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until it happens, or fail."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
