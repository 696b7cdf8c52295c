"""A snapshot: one model with the item features that go with it. Immutable; a request uses exactly one."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from pipelines.core.errors import ModelError, ServiceError
from pipelines.core.features.freshness import Freshness
from pipelines.core.lists.cards import Cards as Cards
from pipelines.core.lists.cards import texts
from pipelines.core.models import ranking, scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.ranker_inputs import NO_CATEGORY, reads_categories
from pipelines.core.models.ranking import OfItems
from pipelines.io.models.shop_rules import FIRST_SEEN
from serving.ports import Features


@dataclass(frozen=True)
class Snapshot:
    """Everything in the process that one answer depends on. What follows from it is worked out once."""

    version: int
    bundle: Bundle
    features: Features | None
    """The online features; None while the store could not be opened."""
    items: Mapping[str, np.ndarray]
    """Item feature → float64 [items]: those that a request or a rule asks for."""
    ranked: OfItems
    """What the ranker reads of the items alone."""
    cards: Cards
    as_of: datetime | None
    """End of the materialization that the item features come from; None where they could not be read."""
    views: Sequence[Freshness] = ()
    """How far the feature views were when the item features were read."""
    stale: bool = False
    """Whether the item features could not be read again since."""

    @cached_property
    def feature_service(self) -> str:
        """The feature service that the model was trained on."""
        return str(self.bundle.manifest["feature_service"])

    @cached_property
    def unknown(self) -> Mapping[str, float]:
        """NaN for each feature that the ranker reads."""
        return dict.fromkeys(ranking.required(self.feature_service), math.nan)

    @cached_property
    def cut_s(self) -> float:
        """The time before which the model's interactions lie, epoch seconds."""
        return cut(self.bundle).timestamp()

    @cached_property
    def now(self) -> float:
        """What recency features count from, epoch seconds: the last materialization, however long ago that was."""
        return self.cut_s if self.as_of is None else self.as_of.timestamp()

    @cached_property
    def knows_pairs(self) -> bool:
        """Whether the store may know something of a user with a candidate.

        Candidates are items that the user hasn't had to do with, as far as the model's history and the session tell:
        unless things repeat, or the features go on after the model's cut, there can be no row of them.
        """
        return self.bundle.repeats or self.now > self.cut_s or reads_categories(self.feature_service)

    @property
    def old(self) -> list[str]:
        """What is older than it may be now, in words."""
        if time.time() <= self._fresh_until:
            return []
        now = datetime.now(UTC)
        late = [f"{view.view} is older than {view.max_age}" for view in self.views if not view.is_fresh(now)]
        return [*late, "the item features could not be read again"] if self.stale else late

    @cached_property
    def _fresh_until(self) -> float:
        """Until when nothing is old, epoch seconds; a second less, so that the views themselves decide the last one."""
        ends = [view.online + view.max_age for view in self.views if view.online is not None]
        if self.stale or len(ends) < len(self.views):
            return -math.inf
        return min((end.timestamp() - 1 for end in ends), default=math.inf)

    @classmethod
    def without_features(cls, version: int, bundle: Bundle) -> "Snapshot":
        """A model whose online store can't be read: it ranks by its candidate sources alone."""
        return cls(version, bundle, None, {}, scoring.of_items(bundle, {}, 0.0), Cards.unknown(bundle), None)

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
        if not any(texts(cards["title"])):
            raise ServiceError("the online store knows none of the model's items: run `make materialize`")
        ranked = scoring.of_items(bundle, items, (as_of or cut(bundle)).timestamp())
        kept = {name: items[name] for name in (*ranked.mixed, FIRST_SEEN) if name in items}
        return cls(version, bundle, features, kept, ranked, Cards.of(bundle, cards), as_of, views)


def cut(bundle: Bundle) -> datetime:
    """The time before which the model's interactions lie."""
    at = datetime.fromisoformat(bundle.manifest["cut"])
    return at if at.tzinfo else at.replace(tzinfo=UTC)
