"""What a ranker reads of a feature service, and the inputs that it makes of it. One description a service.

A service that a model was trained on goes on being readable: its description never changes, a new one comes beside it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipelines.core.columns import Col
from pipelines.core.errors import ModelError
from pipelines.core.features.feature_views import KINDS, KINDS_V1, WINDOWS, counts
from pipelines.core.models.interactions import SECONDS_A_DAY

Features = Mapping[str, Any]
"""Full feature name -> float64 [n], or a scalar for all; NaN where absent."""

NO_CATEGORY: Final = ""
"""Asked for in place of the category of an item that has none: no feature view has a row of it."""


@dataclass(frozen=True)
class Derived:
    """An input that is made of features."""

    reads: tuple[str, ...]
    of: Callable[[Features], Any]
    """float64 [n], or a scalar where all that it reads are."""


@dataclass(frozen=True)
class Reads:
    """What a ranker reads of one feature service. Features go by their full names."""

    keys: tuple[str, ...]
    """The columns that say who and what is asked about."""
    plain: tuple[str, ...]
    """Features that are inputs as they are."""
    ages: Mapping[str, str]
    """Input, in days -> the feature that is a point in time."""
    derived: Mapping[str, Derived]
    """Input -> what makes it of the features above."""

    @property
    def required(self) -> tuple[str, ...]:
        """Every feature that is read."""
        return (*self.plain, *self.ages.values())

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs in order."""
        return (*self.plain, *self.ages, *self.derived)

    def made_of(self, features: Collection[str]) -> list[str]:
        """The inputs, in order, that take no other features than these."""
        plain = [name for name in self.plain if name in features]
        ages = [name for name, feature in self.ages.items() if feature in features]
        return [*plain, *ages, *(name for name, made in self.derived.items() if set(made.reads) <= set(features))]

    def value(self, name: str, features: Features, at: Any) -> Any:
        """The input ``name``: float64 [n], or a scalar; ``at``: "now", epoch seconds."""
        if name in self.ages:
            # what was pushed live may be newer than "now", the end of the last batch
            return np.maximum(at - features[self.ages[name]], 0.0) / SECONDS_A_DAY
        return self.derived[name].of(features) if name in self.derived else features[name]


def reads(service: str | None) -> Reads:
    """What a ranker reads of ``service``; nothing where there is none.

    Raises:
        ModelError: no ranker of this version reads it.
    """
    if service is None:
        return Reads((), (), {}, {})
    if service not in SERVICES:
        raise ModelError(f"the ranker reads {' or '.join(SERVICES)}, not {service}: train again, or update RecoMart")
    return SERVICES[service]


def reads_categories(service: str) -> bool:
    """Whether a ranker of ``service`` reads what a user did in an item's category."""
    return Col.CATEGORY in reads(service).keys


def _of(view: str, *features: str) -> tuple[str, ...]:
    return tuple(f"{view}__{feature}" for feature in features)


def _price_against(price: str, mean: str) -> Derived:
    """The logarithm of an item's price over the user's mean; the first in the shop's currency, the other in minor."""

    def ratio(features: Features) -> Any:
        usual = np.maximum(np.asarray(features[mean], float) / 100.0, 0.0)
        return np.log((np.maximum(np.asarray(features[price], float), 0.0) + 0.01) / (usual + 0.01))

    return Derived((price, mean), ratio)


def _trend(name: str) -> Derived:
    """A count's mean day of the last 7 over that of the last 30."""
    counted = f"{name}_7d", f"{name}_30d"

    def ratio(features: Features) -> Any:
        week, month = (np.nan_to_num(features[count]) for count in counted)
        return (week / 7 + 0.1) / (month / 30 + 0.1)

    return Derived(counted, ratio)


def _rate(hits: str, *trials: str) -> Derived:
    """(hits + 1) / (trials + 20): a few events can't drive it to its extremes. Nothing known is nothing counted."""

    def rate(features: Features) -> Any:
        return (np.nan_to_num(features[hits]) + 1.0) / (sum(np.nan_to_num(features[t]) for t in trials) + 20.0)

    return Derived((hits, *trials), rate)


def _share(part: str, whole: str, window: str) -> Derived:
    """The share of the events of ``part`` in those of ``whole``; NaN where the latter has none."""
    counted = [[f"{view}__{kind}_{window}" for kind in KINDS_V1] for view in (part, whole)]

    def share(features: Features) -> Any:
        some, every = (sum(np.nan_to_num(features[count]) for count in counts) for counts in counted)
        return some / np.where(every == 0, np.nan, every)

    return Derived((*counted[0], *counted[1]), share)


def _trends(view: str) -> dict[str, Derived]:
    return {f"item_trend_{kind}": _trend(f"{view}__{kind}") for kind in KINDS_V1}


def _activity(view: str, kinds: tuple[str, ...], *more: str, windows: tuple[int, ...] = WINDOWS) -> tuple[str, ...]:
    return _of(view, *counts(kinds, windows), *more)


_INTEREST_V1: Final = ("item_activity_v1__views_30d", "item_activity_v1__clicks_30d")
_RATES: Final = ("cart_rate_30d", "conversion_30d", "trend_7d_30d")

SERVICES: Final[dict[str, Reads]] = {
    "ranker_v1": Reads(
        keys=(Col.USER_ID, Col.ITEM_ID),
        plain=(
            *_activity("user_activity_v1", KINDS_V1, "spend_30d", "spend_all", "mean_price_all"),
            *_activity("item_activity_v1", KINDS_V1, "revenue_30d", "revenue_all"),
            "item_profile_v1__price",
            *_activity("user_item_activity_v1", KINDS_V1, windows=(7, 30)),
        ),
        ages={
            "user_recency_days": "user_activity_v1__last_event_epoch_s",
            "item_recency_days": "item_activity_v1__last_event_epoch_s",
            "item_age_days": "item_profile_v1__first_seen_epoch_s",
            "pair_recency_days": "user_item_activity_v1__last_event_epoch_s",
        },
        derived={
            "price_against_user": _price_against("item_profile_v1__price", "user_activity_v1__mean_price_all"),
            **_trends("item_activity_v1"),
            "item_click_rate": _rate("item_activity_v1__clicks_30d", "item_activity_v1__views_30d"),
            "item_cart_rate": _rate("item_activity_v1__carts_30d", *_INTEREST_V1),
            "item_purchase_rate": _rate("item_activity_v1__purchases_30d", *_INTEREST_V1),
        },
    ),
    "ranker_v2": Reads(
        keys=(Col.USER_ID, Col.ITEM_ID, Col.CATEGORY),
        plain=(
            *_activity("user_activity_v2", tuple(KINDS), "spend_7d", "spend_30d", "spend_all"),
            *_of("user_activity_v2", "mean_price_30d", "mean_price_all"),
            *_of("user_activity_v2", *(f"distinct_items_{w}" for w in ("7d", "30d", "all")), *_RATES),
            *_activity("item_activity_v2", tuple(KINDS), "revenue_7d", "revenue_30d", "revenue_all"),
            *_of("item_activity_v2", *(f"distinct_users_{w}" for w in ("7d", "30d", "all")), *_RATES),
            *_of("item_profile_v1", "price", "rating_rate", "rating_count"),
            *_activity("user_item_activity_v2", tuple(KINDS)),
            *_activity("user_category_activity_v1", tuple(KINDS), "spend_30d", "spend_all"),
        ),
        ages={
            "user_recency_days": "user_activity_v2__last_event_epoch_s",
            "user_purchase_recency_days": "user_activity_v2__last_purchase_epoch_s",
            "item_recency_days": "item_activity_v2__last_event_epoch_s",
            "item_purchase_recency_days": "item_activity_v2__last_purchase_epoch_s",
            "item_age_days": "item_profile_v1__first_seen_epoch_s",
            "pair_recency_days": "user_item_activity_v2__last_event_epoch_s",
            "category_recency_days": "user_category_activity_v1__last_event_epoch_s",
        },
        derived={
            "price_against_user": _price_against("item_profile_v1__price", "user_activity_v2__mean_price_all"),
            **_trends("item_activity_v2"),
            "item_click_rate": _rate("item_activity_v2__clicks_30d", "item_activity_v2__views_30d"),
            "category_share_30d": _share("user_category_activity_v1", "user_activity_v2", "30d"),
            "category_share_all": _share("user_category_activity_v1", "user_activity_v2", "all"),
        },
    ),
}
"""Feature service -> what a ranker reads of it."""
