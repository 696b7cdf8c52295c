"""Histories of a batch of users (CSR ``indptr`` int64 [B + 1], ``items`` int32 [m]): what sources read in them."""

import numpy as np

from pipelines.core.models.compiling import FLOAT_ROWS, FLOATS, INT, INT32S, INT64S, kernel


@kernel(INT64S, INT32S, FLOATS, FLOATS, INT64S)
def taken(
    indptr: np.ndarray, items: np.ndarray, age: np.ndarray, weight: np.ndarray, users: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same four of some ``users``, in their order; one of -1 has nothing."""
    start = np.zeros(len(users) + 1, np.int64)
    for n in range(len(users)):
        user = users[n]
        start[n + 1] = start[n] + (indptr[user + 1] - indptr[user] if user >= 0 else 0)
    count = start[len(users)]
    some, ages, weights = np.empty(count, np.int32), np.empty(count, np.float32), np.empty(count, np.float32)
    for n in range(len(users)):
        if users[n] >= 0:
            low, high = indptr[users[n]], indptr[users[n] + 1]
            some[start[n] : start[n + 1]] = items[low:high]
            ages[start[n] : start[n + 1]] = age[low:high]
            weights[start[n] : start[n + 1]] = weight[low:high]
    return start, some, ages, weights


@kernel(INT64S, FLOATS, INT)
def newest(indptr: np.ndarray, age: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(indptr, entry int64, place int64): the ``n`` entries of each user of the least age, those first; of equal
    ones the first. CSR.
    """
    users = len(indptr) - 1
    start = np.zeros(users + 1, np.int64)
    for user in range(users):
        start[user + 1] = start[user] + min(n, indptr[user + 1] - indptr[user])
    entry, place = np.empty(start[users], np.int64), np.empty(start[users], np.int64)
    for user in range(users):
        size, low = 0, start[user]
        limit = start[user + 1] - low
        for at in range(indptr[user], indptr[user + 1]):
            if size == limit:
                if not age[at] < age[entry[low + size - 1]]:
                    continue
                size -= 1
            gap = size
            while gap > 0 and age[at] < age[entry[low + gap - 1]]:
                entry[low + gap] = entry[low + gap - 1]
                gap -= 1
            entry[low + gap] = at
            size += 1
        for n_th in range(limit):
            place[low + n_th] = n_th
    return start, entry, place


@kernel(INT64S, INT32S, FLOATS, FLOAT_ROWS)
def summed(indptr: np.ndarray, items: np.ndarray, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float32 [B, f]: the sum of the ``rows`` [items, f] of each user's items, weighed."""
    out = np.zeros((len(indptr) - 1, rows.shape[1]), np.float32)
    for user in range(len(out)):
        for at in range(indptr[user], indptr[user + 1]):
            for f in range(rows.shape[1]):
                out[user, f] += weights[at] * rows[items[at], f]
    return out


@kernel(INT64S, INT32S, FLOATS, INT32S, INT)
def shares(
    indptr: np.ndarray, items: np.ndarray, strength: np.ndarray, category: np.ndarray, categories: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CSR (indptr, category int32 ascending, share float32): how each user's ``strength`` [m] is shared among the
    categories of the items; ``category`` [items], -1 where unknown.
    """
    users = len(indptr) - 1
    start = np.zeros(users + 1, np.int64)
    found, share = np.empty(len(items), np.int32), np.empty(len(items), np.float32)
    total = np.zeros(categories)
    count = 0
    for user in range(users):
        first, whole = count, 0.0
        for at in range(indptr[user], indptr[user + 1]):
            of = category[items[at]]
            if of >= 0 and strength[at] > 0:
                if total[of] == 0:
                    found[count] = of
                    count += 1
                total[of] += strength[at]
                whole += strength[at]
        found[first:count] = np.sort(found[first:count])
        for at in range(first, count):
            share[at] = total[found[at]] / whole
            total[found[at]] = 0.0
        start[user + 1] = count
    return start, found[:count], share[:count]
