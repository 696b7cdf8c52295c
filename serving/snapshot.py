"""A snapshot: one model with the item features that go with it. Immutable; a request uses exactly one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from pipelines.core import ranking
from pipelines.core.bundle import Bundle
from pipelines.core.errors import ModelError, ServiceError
from pipelines.core.freshness import Freshness
from pipelines.core.ranker_inputs import NO_CATEGORY
from serving.ports import Features


@dataclass(frozen=True)
class Cards:
    """What people see of the bundle's items, each [items]."""

    title: Sequence[str]
    category: Sequence[str | None]
    price: np.ndarray
    """float64, NaN where unknown."""
    in_stock: np.ndarray
    """bool; an item of which the store knows nothing can be shown."""
    codes: np.ndarray
    """int32, position in ``categories``; -1 where unknown."""
    categories: Mapping[str, int]

    @classmethod
    def of(cls, bundle: Bundle, values: Mapping[str, np.ndarray]) -> "Cards":
        """From what the store gives; an item without a title goes by its id."""
        title, in_stock = _texts(values["title"]), values["in_stock"].tolist()
        category = _texts(values["category"])
        known = {name: code for code, name in enumerate(sorted({c for c in category if c is not None}))}
        return cls(
            title=[t or item_id for t, item_id in zip(title, bundle.item_ids.tolist(), strict=True)],
            category=category,
            price=np.asarray(values["price"], np.float64),
            in_stock=np.array([t is None or bool(i) for t, i in zip(title, in_stock, strict=True)], bool),
            codes=np.array([-1 if c is None else known[c] for c in category], np.int32),
            categories=known,
        )

    @classmethod
    def unknown(cls, bundle: Bundle) -> "Cards":
        """Cards of items of which only the ids are known."""
        none, nan = np.full(len(bundle.item_ids), None), np.full(len(bundle.item_ids), np.nan)
        return cls.of(bundle, {"title": none, "category": none, "price": nan, "in_stock": none})


@dataclass(frozen=True)
class Snapshot:
    """Everything in the process that one answer depends on."""

    version: int
    bundle: Bundle
    features: Features | None
    """The online features; None while the store could not be opened."""
    items: Mapping[str, np.ndarray]
    """Item feature → float64 [items]."""
    cards: Cards
    as_of: datetime | None
    """End of the materialization that the item features come from; None where they could not be read."""
    views: Sequence[Freshness] = ()
    """How far the feature views were when the item features were read."""
    stale: bool = False
    """Whether the item features could not be read again since."""

    @property
    def feature_service(self) -> str:
        """The feature service that the model was trained on."""
        return str(self.bundle.manifest["feature_service"])

    @property
    def now(self) -> float:
        """What recency features count from, epoch seconds: the last materialization, however long ago that was."""
        return (self.as_of or cut(self.bundle)).timestamp()

    @classmethod
    def without_features(cls, version: int, bundle: Bundle) -> "Snapshot":
        """A model whose online store can't be read: it ranks by its candidate sources alone."""
        return cls(version, bundle, None, {}, Cards.unknown(bundle), None)

    @classmethod
    def read(cls, version: int, bundle: Bundle, features: Features) -> "Snapshot":
        """Read the features and cards of all items of the bundle.

        Raises:
            ServiceError: the store can't be read, or is empty.
            ModelError: the model needs a feature that its feature service doesn't offer.
        """
        item_ids = bundle.item_ids.tolist()
        as_of, views = (
            features.as_of,
            tuple(features.freshness()),
        )  # before the values: they may be newer than it says, never older
        items = features.items(item_ids)
        anyone = str(bundle.user_ids[0])
        of_user = features.request(anyone, item_ids[:1], [NO_CATEGORY])
        service = bundle.manifest["feature_service"]
        if missing := set(ranking.required(service)) - {*items, *of_user.user, *of_user.items, *of_user.categories}:
            raise ModelError(f"model {version} needs {', '.join(sorted(missing))}, which {service} does not offer")
        cards = features.cards(item_ids)
        if not any(_texts(cards["title"])):
            raise ServiceError("the online store knows none of the model's items: run `make materialize`")
        return cls(version, bundle, features, items, Cards.of(bundle, cards), as_of, views)


def cut(bundle: Bundle) -> datetime:
    """The time before which the model's interactions lie."""
    at = datetime.fromisoformat(bundle.manifest["cut"])
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _texts(values: np.ndarray) -> list[str | None]:
    return [v if isinstance(v, str) else None for v in values.tolist()]
