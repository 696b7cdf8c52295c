"""The feature views: what is written for each, by name and type. Their one home below Feast's declarations.

Counts are of events by type over the days before a row's stamp; a window of w days holds those of [t - w, t).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from pipelines.core.columns import UTC_US, Col

WINDOWS: Final = (1, 7, 30)
"""Days."""

KINDS: Final = {
    "views": "view",
    "clicks": "click",
    "carts": "add_to_cart",
    "removals": "remove_from_cart",
    "purchases": "purchase",
}
"""Prefix of a count -> event type, in the order of their codes."""

KINDS_V1: Final = ("views", "clicks", "carts", "purchases")
"""What the first versions count."""

RECENT_ITEMS: Final = 20
"""Most items in ``recent_items``."""


@dataclass(frozen=True)
class View:
    """The keys of a feature view and its features, in the order of the columns."""

    keys: tuple[str, ...]
    features: Mapping[str, pa.DataType]

    @property
    def schema(self) -> pa.Schema:
        """Keys, event_timestamp, created_timestamp, features."""
        stamps = {Col.EVENT_TIMESTAMP: UTC_US, Col.CREATED_TIMESTAMP: UTC_US}
        return pa.schema([*((key, pa.string()) for key in self.keys), *stamps.items(), *self.features.items()])


def counts(kinds: Sequence[str], windows: Sequence[int]) -> list[str]:
    """The names of the counts of ``kinds`` over ``windows`` and all time."""
    return [f"{kind}_{window}" for kind in kinds for window in (*(f"{w}d" for w in windows), "all")]


def _of(kind: pa.DataType, *names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names, kind)


_COUNTS_V2: Final = _of(pa.int32(), *counts(tuple(KINDS), WINDOWS))
_RATES: Final = _of(pa.float64(), "cart_rate_30d", "conversion_30d", "trend_7d_30d")
_LAST: Final = _of(pa.int64(), "last_event_epoch_s")
_LAST_TWO: Final = _LAST | _of(pa.int64(), "last_purchase_epoch_s")

VIEWS: Final[dict[str, View]] = {
    "user_activity_v1": View(
        (Col.USER_ID,),
        _of(pa.int64(), *counts(KINDS_V1, WINDOWS), "spend_30d", "spend_all")
        | _of(pa.float64(), "mean_price_all")
        | _LAST,
    ),
    "item_activity_v1": View(
        (Col.ITEM_ID,), _of(pa.int64(), *counts(KINDS_V1, WINDOWS), "revenue_30d", "revenue_all") | _LAST
    ),
    "user_item_activity_v1": View((Col.USER_ID, Col.ITEM_ID), _of(pa.int64(), *counts(KINDS_V1, (7, 30))) | _LAST),
    "item_profile_v1": View(
        (Col.ITEM_ID,),
        {
            Col.TITLE: pa.string(),
            Col.CATEGORY: pa.string(),
            Col.PRICE: pa.float64(),
            "rating_rate": pa.float64(),
            "rating_count": pa.int64(),
            "in_stock": pa.bool_(),
            "first_seen_epoch_s": pa.int64(),
        },
    ),
    "user_activity_v2": View(
        (Col.USER_ID,),
        _COUNTS_V2
        | _of(pa.int64(), "spend_7d", "spend_30d", "spend_all")
        | _of(pa.float64(), "mean_price_30d", "mean_price_all")
        | _of(pa.int32(), "priced_all", "distinct_items_7d", "distinct_items_30d", "distinct_items_all")
        | _RATES
        | _LAST_TWO,
    ),
    "item_activity_v2": View(
        (Col.ITEM_ID,),
        _COUNTS_V2
        | _of(pa.int64(), "revenue_7d", "revenue_30d", "revenue_all")
        | _of(pa.int32(), "distinct_users_7d", "distinct_users_30d", "distinct_users_all")
        | _RATES
        | _LAST_TWO,
    ),
    "user_item_activity_v2": View((Col.USER_ID, Col.ITEM_ID), _COUNTS_V2 | _LAST),
    "user_category_activity_v1": View(
        (Col.USER_ID, Col.CATEGORY), _COUNTS_V2 | _of(pa.int64(), "spend_30d", "spend_all") | _LAST
    ),
    "user_recent_items_v1": View((Col.USER_ID,), {"recent_items": pa.list_(pa.string())}),
}
"""Feature view -> what is written."""

RECENT_DAYS: Final = pa.schema(
    [
        (Col.USER_ID, pa.string()),
        (Col.ITEM_ID, pa.string()),
        (Col.CATEGORY, pa.string()),
        ("day", pa.date32()),
        *((kind, pa.int32()) for kind in KINDS),
        ("spend", pa.int64()),
        ("cents", pa.int64()),
        ("priced", pa.int32()),
        ("purchases_made", pa.int32()),
        ("spend_made", pa.int64()),
        ("last_event_epoch_s", pa.int64()),
    ]
)
"""What a user did with an item on each of the last 30 days: from it the windows go on through the day that runs.

``purchases`` and ``spend`` are net of the cancellations so far, ``purchases_made`` and ``spend_made`` are not.
"""
