"""What a model knows of items and users beside the scores of its sources, from the same events before the same cut.

Item signals are arrays of the bundle; user signals come from a history, so whoever has one has them. Windows go by
the length of the label window, so that a shop that plans by days and one that plans by months read the same signals.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.kernels import signals as kernels
from pipelines.core.models.past import Past
from pipelines.core.models.search import pairs

Arrays = Mapping[str, np.ndarray]

WINDOWS: Final = {"tenth": 0.1, "quarter": 0.25, "half": 0.5, "one": 1.0, "three": 3.0}
"""Name -> length, in label windows."""
TRENDS: Final = (("tenth", "one"), ("quarter", "one"), ("half", "three"), ("one", "three"))
YEAR_DAYS: Final = 365

ITEM: Final = (
    *(f"item_users_{name}" for name in WINDOWS),
    "item_users_all",
    *(f"item_trend_{short}_{long}" for short, long in TRENDS),
    "item_trend_one_all",
    "item_new_users_one",
    "item_known_days",
    "item_rest_days",
    "item_repeats",
    "item_users_last_year",
    "item_price",
)
USER: Final = (
    "user_items",
    "user_items_one",
    "user_items_three",
    "user_days",
    "user_items_a_day",
    "user_known_days",
    "user_rest_days",
    "user_mean_popularity",
    "user_mean_price",
)
PAIR: Final = ("popularity_against_user", "price_against_user_mean", "had_days_ago", "had_weight")
POPULARITY: Final = ITEM.index("item_users_all")
PRICE: Final = ITEM.index("item_price")
NAMES: Final = (*ITEM, *USER, *PAIR)
"""The signals in order."""


def fit(past: Past, window_days: float) -> dict[str, np.ndarray]:
    """Item signals: float32 ``items`` [items, len(ITEM)], and ``window_days`` [1].

    Users are counted once an item and window. A trend is users a day in the shorter window over those in the longer,
    both with half a user more. ``item_new_users_one``: users in the last window who met the item in it.
    """
    log, age = past.interactions, (past.at - past.interactions.epoch_s) / SECONDS_A_DAY
    item, n_items, known = log.item_idx, past.n_items, past.histories
    columns: dict[str, np.ndarray] = {}
    for name, length in WINDOWS.items():  # a user was there in a window if the last time was
        columns[f"item_users_{name}"] = np.bincount(
            known.item_idx[known.age_days <= length * window_days], None, n_items
        )
    columns["item_users_all"] = np.bincount(known.item_idx, minlength=n_items)
    for short, long in TRENDS:
        columns[f"item_trend_{short}_{long}"] = _trend(columns, short, long)
    columns["item_trend_one_all"] = (columns["item_users_one"] + 0.5) / (columns["item_users_all"] + 1.0)
    met_before = _of_window(log, n_items, age > window_days)
    met_lately = _of_window(log, n_items, age <= window_days)
    new = np.setdiff1d(met_lately, met_before, assume_unique=True)
    columns["item_new_users_one"] = np.bincount(new % n_items, minlength=n_items)
    oldest, newest = np.full(n_items, np.nan), np.full(n_items, np.nan)
    newest[item], oldest[item[::-1]] = age, age[::-1]  # in the order of time: of equal places the last one stays
    columns["item_known_days"], columns["item_rest_days"] = oldest, newest
    recent = age <= WINDOWS["three"] * window_days
    events = np.bincount(item[recent], minlength=n_items)
    columns["item_repeats"] = events / np.maximum(columns["item_users_three"], 1)
    columns["item_users_last_year"] = _last_year(log, age, window_days, n_items)
    columns["item_price"] = past.catalogue.price
    return {
        "items": np.stack([columns[name] for name in ITEM], axis=1).astype(np.float32),
        "window_days": np.array([window_days], np.float32),
    }


def of(arrays: Any, histories: Histories, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
    """float32 [n, len(NAMES)]: the signals of each (user, item); NaN where there is nothing to know.

    A user's days, items a day, and mean popularity and price are those of its history; what it had of the item itself
    is days since the last time, and the weight of all times.
    """
    items, history = arrays["items"], (histories.indptr, histories.item_idx, histories.age_days)
    users = kernels.of_users(items, POPULARITY, PRICE, arrays["window_days"], *history)
    return kernels.of_pairs(items, POPULARITY, PRICE, users, *history, histories.weight, *pairs(user_pos, item_idx))


def _of_window(log: Interactions, n_items: int, inside: np.ndarray) -> np.ndarray:
    """int64, ascending: user · n_items + item of the interactions where ``inside`` bool [n], each once."""
    return np.unique(log.user_idx[inside].astype(np.int64) * n_items + log.item_idx[inside])


def _trend(columns: Mapping[str, np.ndarray], short: str, long: str) -> np.ndarray:
    a_window = [(columns[f"item_users_{name}"] + 0.5) / WINDOWS[name] for name in (short, long)]
    ratio: np.ndarray = a_window[0] / a_window[1]
    return ratio


def _last_year(log: Interactions, age: np.ndarray, window_days: float, n_items: int) -> np.ndarray:
    """Users in the label window's days of the year before; NaN for all where the log doesn't reach back to them."""
    if not len(age) or age.max() < YEAR_DAYS:
        return np.full(n_items, np.nan)
    season = _of_window(log, n_items, (age <= YEAR_DAYS) & (age > YEAR_DAYS - window_days))
    return np.bincount(season % n_items, minlength=n_items)
