"""Search: the best few of each user of a batch, sets and tables of items, places among candidates.

A set or table of items is open addressing with linear probing (Knuth, TAOCP 3, 6.4, algorithm L) in arrays: ``start``
int64 [B + 1] bounds each user's slots, a power of two of them, at most half full; ``keys`` int32, -1 where a slot is
free. A table lists its slots that are filled in ``filled`` int32, as they came: of each user ``count`` int64 [B], from
where its slots start on. Sums are kept in double precision, so that the order in which they are added doesn't show in
single.
"""

import numpy as np

from pipelines.core.models.compiling import (
    BOOLS,
    DOUBLES,
    FLOAT_ROWS,
    FLOATS,
    INT,
    INT8_ROWS,
    INT32S,
    INT64S,
    Number,
    inner,
    kernel,
    summing,
)

TABLES = (INT64S, INT32S, DOUBLES, INT32S, INT64S)
SETS = (INT64S, INT32S)
BUCKETS = 500
"""Between the least and the largest of some values: about a hundred of a few thousand are told apart well."""
Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Start, keys, sums, filled, count."""
Table = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Keys, sums, filled slots."""


@inner
def _capacity(entries: Number) -> Number:
    slots = 2
    while slots < 2 * entries:
        slots *= 2
    return slots


@inner
def _slot(keys: np.ndarray, start: Number, end: Number, item: Number) -> Number:
    """Where the item is, or the free slot where it would go."""
    first, mask = np.uint64(start), np.uint64(end - start - 1)
    at = (np.uint64(item) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & mask
    while keys[first + at] != item and keys[first + at] != -1:
        at = (at + np.uint64(1)) & mask
    return first + at


@inner
def _holds(keys: np.ndarray, start: Number, end: Number, item: Number) -> Number:
    return end > start and keys[_slot(keys, start, end, item)] == item


@inner
def _comes_before(score: Number, item: Number, other_score: Number, other: Number) -> Number:
    return score > other_score or (score == other_score and item < other)


@inner
def _offer(scores: np.ndarray, items: np.ndarray, size: Number, limit: Number, score: Number, item: Number) -> Number:
    """Keep the item if it is among the best ``limit``; a heap whose root is the worst kept. Returns its new size."""
    if size < limit:
        child = size
        while child > 0:
            parent = (child - 1) >> 1
            if not _comes_before(scores[parent], items[parent], score, item):
                break
            scores[child], items[child] = scores[parent], items[parent]
            child = parent
        scores[child], items[child] = score, item
        return size + 1
    if limit == 0 or not _comes_before(score, item, scores[0], items[0]):
        return size
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and _comes_before(scores[child], items[child], scores[child + 1], items[child + 1]):
            child += 1
        if not _comes_before(score, item, scores[child], items[child]):
            break
        scores[parent], items[parent] = scores[child], items[child]
        parent = child
    scores[parent], items[parent] = score, item
    return size


@inner
def _put(cells: np.ndarray, count: Number, user: Number, n_items: Number, items: np.ndarray) -> Number:
    """Write a user's items as cells, ascending; returns how many cells there are then."""
    ordered = np.sort(items)
    for n in range(len(ordered)):
        cells[count + n] = user * n_items + ordered[n]
    return count + len(ordered)


@kernel(INT64S, INT32S)
def sets(indptr: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(start, keys) of the items of each user; CSR ``indptr`` [B + 1], ``items``. Nobody's set of nothing has slots."""
    users = len(indptr) - 1
    start = np.zeros(users + 1, np.int64)
    for user in range(users):
        count = indptr[user + 1] - indptr[user]
        start[user + 1] = start[user] + (_capacity(count) if count else 0)
    keys = np.full(start[users], -1, np.int32)
    for user in range(users):
        for at in range(indptr[user], indptr[user + 1]):
            keys[_slot(keys, start[user], start[user + 1], items[at])] = items[at]
    return start, keys


@kernel(*SETS, INT32S, INT32S)
def in_sets(start: np.ndarray, keys: np.ndarray, user_pos: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
    """bool [m]: whether the user's set holds the item."""
    held = np.empty(len(item_idx), np.bool_)
    for n in range(len(item_idx)):
        user = user_pos[n]
        held[n] = _holds(keys, start[user], start[user + 1], item_idx[n])
    return held


@inner
def _add(table: Table, start: Number, end: Number, size: Number, item: Number, value: Number) -> Number:
    """Add to an item's sum; returns how many slots are filled then."""
    keys, sums, filled = table
    slot = _slot(keys, start, end, item)
    if keys[slot] == -1:
        keys[slot] = item
        sums[slot] = value
        filled[np.uint64(start + size)] = slot
        return size + 1
    sums[slot] += value
    return size


@inner
def _empty(slots: Number) -> Table:
    return np.full(slots, -1, np.int32), np.empty(slots), np.empty(slots, np.int32)


@kernel(INT64S, INT32S, DOUBLES)
def tables(indptr: np.ndarray, items: np.ndarray, values: np.ndarray) -> Tables:
    """(start, keys, sums, filled, count) of the values of each user's items: CSR ``indptr``, ``items``, ``values``."""
    users = len(indptr) - 1
    start, count = np.zeros(users + 1, np.int64), np.zeros(users, np.int64)
    for user in range(users):
        start[user + 1] = start[user] + _capacity(indptr[user + 1] - indptr[user])
    table = _empty(start[users])
    for user in range(users):
        for at in range(indptr[user], indptr[user + 1]):
            count[user] = _add(table, start[user], start[user + 1], count[user], items[at], values[at])
    return start, table[0], table[1], table[2], count


@kernel(INT64S, INT32S, DOUBLES, INT32S, INT32S, FLOATS)
def propagated(
    indptr: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    leads: np.ndarray,
    to: np.ndarray,
    weights: np.ndarray,
) -> Tables:
    """The tables of CSR rows ``indptr``, ``items``, ``values`` times a CSR matrix ``leads``, ``to``, ``weights``."""
    users, n_items = len(indptr) - 1, len(leads) - 1
    start, count = np.zeros(users + 1, np.int64), np.zeros(users, np.int64)
    for user in range(users):
        entries = 0
        for at in range(indptr[user], indptr[user + 1]):
            entries += leads[items[at] + 1] - leads[items[at]]
        start[user + 1] = start[user] + _capacity(min(entries, n_items))
    table = _empty(start[users])
    for user in range(users):
        low, high, size = start[user], start[user + 1], 0
        for at in range(indptr[user], indptr[user + 1]):
            value, item = values[at], np.uint64(items[at])
            for entry in range(np.uint64(leads[item]), np.uint64(leads[item + np.uint64(1)])):
                size = _add(table, low, high, size, to[entry], value * weights[entry])
        count[user] = size
    return start, table[0], table[1], table[2], count


@kernel(*TABLES, INT32S, INT32S)
def looked_up(
    start: np.ndarray,
    keys: np.ndarray,
    sums: np.ndarray,
    filled: np.ndarray,
    count: np.ndarray,
    user_pos: np.ndarray,
    item_idx: np.ndarray,
) -> np.ndarray:
    """float32 [m]: the sum of each item of a user; NaN where its table has none."""
    found = np.full(len(item_idx), np.nan, np.float32)
    for n in range(len(item_idx)):
        user = user_pos[n]
        slot = _slot(keys, start[user], start[user + 1], item_idx[n])
        if keys[slot] >= 0:
            found[n] = sums[slot]
    return found


@kernel(*TABLES, INT, *SETS, INT)
def best_of_tables(
    start: np.ndarray,
    keys: np.ndarray,
    sums: np.ndarray,
    filled: np.ndarray,
    count: np.ndarray,
    n: int,
    seen_start: np.ndarray,
    seen: np.ndarray,
    n_items: int,
) -> np.ndarray:
    """Cells int64, ascending: the ``n`` largest of each table that aren't seen; ties go to the smaller item."""
    users = len(start) - 1
    cells, found = np.empty(users * n, np.int64), 0
    scores, items = np.empty(n, np.float32), np.empty(n, np.int32)
    for user in range(users):
        size = 0
        low, high = seen_start[user], seen_start[user + 1]
        for at in range(np.uint64(start[user]), np.uint64(start[user] + count[user])):
            slot = np.uint64(filled[at])
            score, item = np.float32(sums[slot]), keys[slot]
            if size == n and not _comes_before(score, item, scores[0], items[0]):
                continue
            if not _holds(seen, low, high, item):
                size = _offer(scores, items, size, n, score, item)
        found = _put(cells, found, user, n_items, items[:size])
    return cells[:found]


@kernel(INT32S, INT, INT, *SETS)
def best_of_all(order: np.ndarray, users: int, n: int, seen_start: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Cells int64, ascending: for each user the first ``n`` items of the ``order`` [items] that aren't seen."""
    n_items = len(order)
    n = min(n, n_items)
    cells, count = np.empty(users * n, np.int64), 0
    items = np.empty(n, np.int32)
    for user in range(users):
        size, place = 0, 0
        while size < n and place < n_items:
            if not _holds(seen, seen_start[user], seen_start[user + 1], order[place]):
                items[size] = order[place]
                size += 1
            place += 1
        count = _put(cells, count, user, n_items, items[:size])
    return cells[:count]


@summing
def _product(rows: np.ndarray, row: Number, vector: np.ndarray) -> Number:
    """The inner product of a row with the vector."""
    total = np.float32(0.0)
    for n in range(len(vector)):
        total += rows[row, n] * vector[n]
    return total


@summing
def _coarse_product(rows: np.ndarray, row: Number, vector: np.ndarray) -> Number:
    """As ``_product``, of a row of small integers."""
    total = np.float32(0.0)
    for n in range(len(vector)):
        total += np.float32(rows[row, n]) * vector[n]
    return total


@kernel(FLOAT_ROWS, BOOLS, FLOAT_ROWS, INT, *SETS)
def best_by_factors(
    users: np.ndarray, known: np.ndarray, factors: np.ndarray, n: int, seen_start: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """Cells int64, ascending: the ``n`` items with the largest inner products that aren't seen.

    ``factors`` [items, f]. Nothing is found for users [B, f] that aren't ``known`` [B].
    """
    n_items = len(factors)
    n = min(n, n_items)
    cells, count = np.empty(len(users) * n, np.int64), 0
    scores, items = np.empty(n, np.float32), np.empty(n, np.int32)
    for user in range(len(users)):
        if not known[user]:
            continue
        vector, size = users[user], 0
        for item in range(n_items):
            score = _product(factors, np.uint64(item), vector)
            if size == n and score <= scores[0]:  # of equal ones the first is there already
                continue
            if np.isfinite(score) and not _holds(seen, seen_start[user], seen_start[user + 1], item):
                size = _offer(scores, items, size, n, score, item)
        count = _put(cells, count, user, n_items, items[:size])
    return cells[:count]


@inner
def _least_of(values: np.ndarray, n: Number) -> Number:
    """What about the largest ``n`` values are at least, never fewer: the edge of one of BUCKETS between the extremes.

    Counting takes half the time of selecting, and a third of the upkeep of a heap.
    """
    low = high = values[0]
    for value in values:
        low, high = min(low, value), max(high, value)
    width = (high - low) / np.float32(BUCKETS)
    if n >= len(values) or not width > 0:
        return low
    counts = np.zeros(BUCKETS + 1, np.int32)
    for value in values:
        counts[np.uint64((value - low) / width)] += 1
    bucket, more = BUCKETS, np.int64(counts[BUCKETS])
    while more < n:
        bucket -= 1
        more += counts[bucket]
    return low + np.float32(bucket) * width - np.float32(0.5) * width


@inner
def _rows(cluster_start: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """int64: the rows before the first cluster, then those of some clusters."""
    size = np.int64(cluster_start[0])
    for cluster in clusters:
        size += cluster_start[cluster + 1] - cluster_start[cluster]
    rows = np.empty(size, np.int64)
    rows[: cluster_start[0]] = np.arange(cluster_start[0])
    at = np.int64(cluster_start[0])
    for cluster in clusters:
        for row in range(cluster_start[cluster], cluster_start[cluster + 1]):
            rows[at] = row
            at += 1
    return rows


@kernel(FLOAT_ROWS, BOOLS, FLOAT_ROWS, INT8_ROWS, FLOATS, INT32S, INT32S, FLOAT_ROWS, INT, INT, *SETS)
def best_in_clusters(
    users: np.ndarray,
    known: np.ndarray,
    factors: np.ndarray,
    coarse: np.ndarray,
    step: np.ndarray,
    item_at: np.ndarray,
    cluster_start: np.ndarray,
    centres: np.ndarray,
    probed: int,
    n: int,
    seen_start: np.ndarray,
    seen: np.ndarray,
) -> np.ndarray:
    """As ``best_by_factors``, of the rows that are looked at; ``item_at``: row -> item.

    Those are the rows before the first cluster's and those of the ``probed`` clusters whose ``centres`` [clusters, f]
    have the largest inner product with the user. All are looked at by ``coarse`` · ``step``, which is nearly
    ``factors`` [items, f], and the best ones by ``factors`` themselves: a quarter more than ``n``.
    """
    n_items = len(factors)
    n, probed = min(n, n_items), min(probed, len(centres))
    cells, count = np.empty(len(users) * n, np.int64), 0
    scores, items = np.empty(n, np.float32), np.empty(n, np.int32)
    promise, chosen = np.empty(probed, np.float32), np.empty(probed, np.int32)
    for user in range(len(users)):
        if not known[user]:
            continue
        vector, size, likely = users[user], 0, 0
        for cluster in range(len(centres)):
            likely = _offer(promise, chosen, likely, probed, _product(centres, cluster, vector), cluster)
        rows = _rows(cluster_start, chosen[:likely])
        near = np.empty(len(rows), np.float32)
        for at in range(len(rows)):
            near[at] = _coarse_product(coarse, np.uint64(rows[at]), vector) * step[rows[at]]
        least = _least_of(near, n + n // 4 + seen_start[user + 1] - seen_start[user])
        for at in range(len(rows)):
            if near[at] >= least and not _holds(seen, seen_start[user], seen_start[user + 1], item_at[rows[at]]):
                size = _offer(scores, items, size, n, _product(factors, rows[at], vector), item_at[rows[at]])
        count = _put(cells, count, user, n_items, items[:size])
    return cells[:count]


@kernel(FLOAT_ROWS, BOOLS, FLOAT_ROWS, INT32S, INT32S, INT32S)
def inner_products(
    users: np.ndarray,
    known: np.ndarray,
    factors: np.ndarray,
    row_of: np.ndarray,
    user_pos: np.ndarray,
    item_idx: np.ndarray,
) -> np.ndarray:
    """float32 [m]: of each user with an item; NaN where it isn't ``known``. ``row_of``: item -> row, or empty."""
    out = np.full(len(item_idx), np.nan, np.float32)
    for n in range(len(item_idx)):
        if known[user_pos[n]]:
            row = row_of[item_idx[n]] if len(row_of) else item_idx[n]
            out[n] = _product(factors, np.uint64(row), users[user_pos[n]])
    return out


@kernel(INT64S, INT32S, FLOATS, INT32S, INT32S, FLOATS, INT, *SETS)
def best_of_shelves(
    indptr: np.ndarray,
    category: np.ndarray,
    affinity: np.ndarray,
    shelf_start: np.ndarray,
    shelf: np.ndarray,
    share: np.ndarray,
    n: int,
    seen_start: np.ndarray,
    seen: np.ndarray,
) -> np.ndarray:
    """Cells int64, ascending: the ``n`` items with the largest affinity · share, above 0, that aren't seen.

    CSR ``indptr``, ``category``, ``affinity``: of users with categories; ``shelf``: the items of each category, from
    ``shelf_start`` on, by falling ``share`` [items].
    """
    users, n_items = len(indptr) - 1, len(share)
    n = min(n, n_items)
    cells, count = np.empty(users * n, np.int64), 0
    scores, items = np.empty(n, np.float32), np.empty(n, np.int32)
    for user in range(users):
        size = 0
        for at in range(indptr[user], indptr[user + 1]):
            for place in range(shelf_start[category[at]], shelf_start[category[at] + 1]):
                item = shelf[place]
                score = affinity[at] * share[item]
                if score <= 0 or (size == n and score < scores[0]):
                    break  # those behind it score no better
                if not _holds(seen, seen_start[user], seen_start[user + 1], item):
                    size = _offer(scores, items, size, n, score, item)
        count = _put(cells, count, user, n_items, items[:size])
    return cells[:count]


@kernel(INT64S, INT32S, FLOATS, INT32S, FLOATS, INT32S, INT32S)
def on_shelves(
    indptr: np.ndarray,
    category: np.ndarray,
    affinity: np.ndarray,
    category_of: np.ndarray,
    share: np.ndarray,
    user_pos: np.ndarray,
    item_idx: np.ndarray,
) -> np.ndarray:
    """float32 [m]: affinity · share of each item for the user; NaN where that isn't above 0.

    CSR as above, ``category`` ascending; ``category_of`` [items]: -1 where unknown.
    """
    out = np.full(len(item_idx), np.nan, np.float32)
    for n in range(len(item_idx)):
        low, high, wanted = indptr[user_pos[n]], indptr[user_pos[n] + 1], category_of[item_idx[n]]
        at = low + np.searchsorted(category[low:high], wanted)
        if at < high and category[at] == wanted and affinity[at] * share[item_idx[n]] > 0:
            out[n] = affinity[at] * share[item_idx[n]]
    return out


@kernel(INT64S)
def distinct(cells: np.ndarray) -> np.ndarray:
    """The cells in order, each once."""
    ordered = np.sort(cells)
    count = 0
    for n in range(len(ordered)):
        if n == 0 or ordered[n] != ordered[count - 1]:
            ordered[count] = ordered[n]
            count += 1
    return ordered[:count]


@kernel(INT64S, FLOAT_ROWS)
def places(indptr: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [n, S]: the place, from 0, of each row among those of its user by each column of ``scores`` [n, S];
    int8 [n]: the column where it is the best, the first of equal ones).

    CSR ``indptr`` [B + 1]. Equal scores stand in the order of rows; NaN has no place, NaN.
    """
    out, best = np.full(scores.shape, np.nan, np.float32), np.zeros(len(scores), np.int8)
    bits = scores.view(np.int32)  # of numbers of one sign they are in the order of the numbers
    keys = np.empty(len(scores), np.int64)
    for user in range(len(indptr) - 1):
        for s in range(scores.shape[1]):
            size = 0
            for n in range(indptr[user], indptr[user + 1]):
                if not np.isnan(scores[n, s]):
                    magnitude = np.int64(bits[n, s]) & 0x7FFFFFFF
                    keys[size] = ((magnitude if bits[n, s] < 0 else -magnitude) << 32) | n
                    size += 1
            ordered = np.sort(keys[:size])
            for place in range(size):
                n = ordered[place] & 0xFFFFFFFF
                out[n, s] = place
                if not out[n, best[n]] <= place:
                    best[n] = s
    return out, best
