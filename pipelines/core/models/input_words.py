"""The ranker's inputs in words that people of a shop understand."""

import re
from functools import lru_cache
from typing import Final

from pipelines.core.models.signals import WINDOWS

SOURCES: Final = {
    "svd": "what people of similar taste want now",
    "svd_taste": "what people of similar taste want",
    "item_item": "what goes with the user's items",
    "als": "what similar users have",
    "covisitation": "what is viewed together with the user's items",
    "popularity": "what is popular now",
    "popularity_always": "what is always popular",
    "category_popularity": "what is popular in the user's categories",
    "content": "what is like the user's items",
    "again": "what the user had before",
}
_OF_SOURCE: Final = {
    "rank": "place in {}",
    "score": "score in {}",
    "relative": "score in {}, against the best there",
}
_VIEWS: Final = {
    "user_activity": "the user's {}",
    "item_activity": "the item's {}",
    "user_item_activity": "the user's {} of this item",
    "user_category_activity": "the user's {} in this category",
    "item_profile": "the item's {}",
}
_FEATURES: Final = {
    "carts": "additions to the cart",
    "removals": "removals from the cart",
    "spend": "spending",
    "mean_price": "mean price",
    "distinct_items": "number of different items",
    "distinct_users": "number of different users",
    "cart_rate": "additions to the cart a view",
    "conversion": "purchases a view",
    "trend_7d": "activity of 7 days against that",
    "rating_rate": "rating",
    "rating_count": "number of ratings",
}
_SPANS: Final = {"1d": "of 1 day", "7d": "of 7 days", "30d": "of 30 days", "all": "ever"}
_ALONE: Final = {
    "item_users_all": "users of the item ever",
    "item_users_last_year": "users of the item at this time last year",
    "item_new_users_one": "new users of the item in {one}",
    "item_trend_one_all": "users of the item in {one} against ever",
    "item_known_days": "days since the item was first met",
    "item_rest_days": "days since the item was last met",
    "item_repeats": "times that a user comes back to the item",
    "item_price": "the item's price when the model was made",
    "user_items": "items of the user",
    "user_items_one": "items of the user in {one}",
    "user_items_three": "items of the user in {three}",
    "user_days": "days with something of the user",
    "user_items_a_day": "items of the user a day",
    "user_known_days": "days since the user first came",
    "user_rest_days": "days since the user last came",
    "user_mean_popularity": "how popular the user's items are",
    "user_mean_price": "mean price of the user's items",
    "popularity_against_user": "popularity against that of the user's items",
    "price_against_user_mean": "price against the mean of the user's items",
    "price_against_user": "price against the mean that the user pays",
    "had_days_ago": "days since the user had the item",
    "had_weight": "how much the user had to do with the item",
    "user_recency_days": "days since the user's last event",
    "user_purchase_recency_days": "days since the user's last purchase",
    "item_recency_days": "days since the item's last event",
    "item_purchase_recency_days": "days since the item's last purchase",
    "item_age_days": "days since the item was first listed",
    "pair_recency_days": "days since the user's last event with the item",
    "category_recency_days": "days since the user's last event in this category",
    "item_click_rate": "clicks a view of the item",
    "item_cart_rate": "additions of the item to the cart a view",
    "item_purchase_rate": "purchases of the item a view",
    "category_share_30d": "this category's share in what the user did, 30 days",
    "category_share_all": "this category's share in what the user did, ever",
}


@lru_cache(maxsize=1024)
def words(name: str, window_days: float) -> str:
    """The input in words; its own name where there are none. ``window_days``: the length of the label window."""
    spans = {window: f"{length * window_days:.3g} days" for window, length in WINDOWS.items()}
    if name in _ALONE:
        return _ALONE[name].format(**spans)
    if found := re.fullmatch(rf"({'|'.join(SOURCES)})_(rank|score|relative)", name):
        return _OF_SOURCE[found[2]].format(SOURCES[found[1]])
    if found := re.fullmatch(rf"item_users_({'|'.join(WINDOWS)})", name):
        return f"users of the item in {spans[found[1]]}"
    if found := re.fullmatch(rf"item_trend_({'|'.join(WINDOWS)})_({'|'.join(WINDOWS)})", name):
        return f"users of the item in {spans[found[1]]} against {spans[found[2]]}"
    if found := re.fullmatch(r"item_trend_(views|clicks|carts|purchases)", name):
        return f"{_FEATURES.get(found[1], found[1])} of the item in 7 days against 30"
    if found := re.fullmatch(r"(\w+)_v\d+__(\w+)", name):
        return _of_view(found[1], found[2]) or name
    return name


def _of_view(view: str, feature: str) -> str | None:
    kind, _, span = feature.rpartition("_")
    if span not in _SPANS:
        kind, span = feature, ""
    told = _VIEWS.get(view)
    return told and f"{told.format(_FEATURES.get(kind, kind.replace('_', ' ')))} {_SPANS.get(span, '')}".strip()
