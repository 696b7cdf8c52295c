"""The table of recent days: what each user did with each item on each of the last 30 days, net of cancellations."""

import numpy as np
import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.features.day_events import Int64
from pipelines.core.features.day_sums import CENTS, MADE, PRICED, SPEND, SPEND_MADE, DaySums, in_order, joined
from pipelines.core.features.entities import USER_ITEM, Entities, Places
from pipelines.core.features.feature_views import KINDS, RECENT_DAYS
from pipelines.core.features.pair_index import pair_keys
from pipelines.core.features.timeline_state import State


def table(state: State) -> pa.Table:
    """RECENT_DAYS of a state, but ids are dictionary arrays; sorted by user, item and day.

    Raises:
        InputError: what was taken back wasn't bought on its day.
    """
    days = {day: _net(day, state) for day in state.days}
    rows = joined([DaySums.empty(), *days.values()])
    day = np.repeat(np.fromiter(days, np.int32, len(days)), [len(sums) for sums in days.values()])
    codes = state.entities.codes(USER_ITEM, rows.pairs)
    order = np.argsort(state.entities.order(USER_ITEM, codes), kind="stable")
    rows, day = rows.take(order), day[order]
    columns = {
        **state.entities.keys(USER_ITEM, (codes[0][order], codes[1][order])),
        Col.CATEGORY: _categories(rows.user_categories, state.entities),
        "day": pa.array(day).cast(pa.date32()),
        **{kind: rows.counts[place] for place, kind in enumerate(KINDS)},
        "spend": rows.money[SPEND],
        "cents": rows.money[CENTS],
        "priced": rows.counts[PRICED],
        "purchases_made": rows.counts[MADE],
        "spend_made": rows.money[SPEND_MADE],
        "last_event_epoch_s": rows.last,
    }
    return pa.table({name: columns[name] for name in RECENT_DAYS.names})


def days_of(recent: pa.Table, entities: Entities) -> dict[int, DaySums]:
    """The sums of each day from RECENT_DAYS, giving codes and places to what has none."""
    users, items = entities.users.encode(recent[Col.USER_ID]), entities.items.encode(recent[Col.ITEM_ID])
    categories = entities.categories.encode(recent[Col.CATEGORY])
    user_categories = np.full(len(recent), -1, np.int32)
    known = categories >= 0
    user_categories[known] = entities.user_categories.add(users[known], categories[known])
    numbers = {name: recent[name].to_numpy() for name in RECENT_DAYS.names[4:]}
    counts = np.stack([numbers[name] for name in (*KINDS, "purchases_made", "priced")])
    money = np.stack([numbers[name] for name in ("spend", "spend_made", "cents")])
    last = numbers["last_event_epoch_s"]
    rows = DaySums(entities.pairs.add(users, items), user_categories, counts, money, last)
    day = recent["day"].cast(pa.int32()).to_numpy()
    return {int(d): in_order(rows.take(day == d), entities) for d in np.unique(day)}


def _net(day: int, state: State) -> DaySums:
    """The sums of a day without what was taken back of its purchases since."""
    made, taken = state.days[day], state.taken.take(state.taken.purchase_day == day)
    if not len(taken):
        return made
    gone = DaySums.of_taken_back(taken, state.entities)
    keys, gone_keys = _row_keys(made), _row_keys(gone)
    order = np.argsort(keys)
    at = order[np.minimum(np.searchsorted(keys, gone_keys, sorter=order), len(keys) - 1)]
    if (keys[at] != gone_keys).any():
        raise InputError("taken_back.parquet has pieces of no purchase of their day: run `python -m pipelines prepare`")
    net = made.take(np.arange(len(made)))  # a copy
    net.counts[:, at] -= gone.counts
    net.money[:, at] -= gone.money
    return net


def _row_keys(sums: DaySums) -> Int64:
    return pair_keys(sums.pairs, sums.user_categories + 1)


def _categories(user_categories: Places, entities: Entities) -> pa.DictionaryArray:
    known = user_categories >= 0
    codes = np.zeros(len(known), np.int32)
    codes[known] = entities.user_categories.codes(user_categories[known])[1]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=~known), entities.categories.ids)
