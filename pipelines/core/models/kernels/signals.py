"""The signals of users, and of users with items; see ``core/models/signals.py`` for what they mean."""

import numpy as np

from pipelines.core.models.compiling import FLOAT_ROWS, FLOATS, INT, INT32S, INT64S, Number, inner, kernel


@inner
def _not_below_0(price: Number) -> Number:
    return price if not price < 0 else np.float32(0.0)  # NaN stays


@inner
def _days(age: np.ndarray) -> Number:
    """How many different whole days there are."""
    whole = np.empty(len(age), np.int64)
    for n in range(len(age)):
        whole[n] = np.int64(age[n])
    ordered = np.sort(whole)
    days = 0
    for n in range(len(ordered)):
        days += n == 0 or ordered[n] != ordered[n - 1]
    return days


@kernel(FLOAT_ROWS, INT, INT, FLOATS, INT64S, INT32S, FLOATS)
def of_users(
    items: np.ndarray,
    popular: int,
    price: int,
    window_days: np.ndarray,
    indptr: np.ndarray,
    item_idx: np.ndarray,
    age: np.ndarray,
) -> np.ndarray:
    """float32 [B, 9]: ``signals.USER`` of histories; ``popular``, ``price``: columns of the ``items`` [items, I]."""
    out = np.full((len(indptr) - 1, 9), np.nan, np.float32)
    window, three = window_days[0], np.float32(3) * window_days[0]
    for user in range(len(out)):
        low, high = indptr[user], indptr[user + 1]
        lately = recently = 0
        oldest = newest = np.float32(np.nan)
        popularity, paid, priced = 0.0, 0.0, 0
        for at in range(low, high):
            lately += age[at] <= window
            recently += age[at] <= three
            oldest = oldest if oldest >= age[at] else age[at]
            newest = newest if newest <= age[at] else age[at]
            popularity += np.log1p(items[item_idx[at], popular])
            if np.isfinite(items[item_idx[at], price]):
                paid += items[item_idx[at], price]
                priced += 1
        days = _days(age[low:high])
        out[user, 1], out[user, 2], out[user, 3] = lately, recently, days
        if high > low:
            count = high - low
            out[user, 0], out[user, 4] = count, count / max(days, 1)
            out[user, 5], out[user, 6] = oldest, newest
            out[user, 7] = popularity / count
        if priced:
            out[user, 8] = paid / priced
    return out


@kernel(FLOAT_ROWS, INT, INT, FLOAT_ROWS, INT64S, INT32S, FLOATS, FLOATS, INT32S, INT32S)
def of_pairs(
    items: np.ndarray,
    popular: int,
    price: int,
    users: np.ndarray,
    indptr: np.ndarray,
    met: np.ndarray,
    age: np.ndarray,
    weight: np.ndarray,
    user_pos: np.ndarray,
    item_idx: np.ndarray,
) -> np.ndarray:
    """float32 [n, I + 9 + 4]: ``signals.NAMES`` of each user with an item; ``users`` [B, 9]: of ``of_users``."""
    own, of_user = items.shape[1], users.shape[1]
    out = np.full((len(item_idx), own + of_user + 4), np.nan, np.float32)
    cent = np.float32(0.01)
    for n in range(len(item_idx)):
        user, item = user_pos[n], item_idx[n]
        for j in range(own):
            out[n, j] = items[item, j]
        for j in range(of_user):
            out[n, own + j] = users[user, j]
        pair = own + of_user
        out[n, pair] = np.log1p(items[item, popular]) - users[user, 7]
        out[n, pair + 1] = np.log((_not_below_0(items[item, price]) + cent) / (_not_below_0(users[user, 8]) + cent))
        low, high = indptr[user], indptr[user + 1]
        at = low + np.searchsorted(met[low:high], item)
        if at < high and met[at] == item:
            out[n, pair + 2], out[n, pair + 3] = age[at], weight[at]
    return out
