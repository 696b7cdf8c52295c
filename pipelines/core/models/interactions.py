"""The interactions of users with items as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_matrix

from pipelines.core.columns import Col

SECONDS_A_DAY = 86_400.0
MOST_DEVICES = 8
"""Devices that are told apart."""


@dataclass(frozen=True)
class Interactions:
    """Events of positive weight in the order of time; ids are sorted, so a position is found by bisection.

    An *interaction* is an event whose type has a positive weight: by default every type but remove_from_cart.
    """

    user_ids: np.ndarray
    """str [users], sorted."""
    item_ids: np.ndarray
    """str [items], sorted."""
    user_idx: np.ndarray
    """int32 [n]."""
    item_idx: np.ndarray
    """int32 [n]."""
    weight: np.ndarray
    """float32 [n], the weight of the event's type."""
    epoch_s: np.ndarray
    """float64 [n], seconds since 1970 UTC, ascending."""
    device: np.ndarray | None = None
    """int8 [n], position in ``devices``, -1 where unknown; None where the log knows none."""
    devices: tuple[str, ...] = ()

    def decayed(self, at: float, half_life_days: float) -> np.ndarray:
        """float64 [n]: each event's weight, halved with every ``half_life_days`` that it is older than ``at``."""
        age_days = np.maximum(at - self.epoch_s, 0.0) / SECONDS_A_DAY
        return self.weight * 0.5 ** (age_days / half_life_days)

    def before(self, cut: float) -> "Interactions":
        """What lies before ``cut`` (epoch seconds); users and items stay, also those that nothing is left of."""
        return self._slice(slice(0, int(np.searchsorted(self.epoch_s, cut))))

    def between(self, start: float, end: float) -> "Interactions":
        """What lies in [start, end)."""
        return self._slice(slice(*np.searchsorted(self.epoch_s, [start, end]).tolist()))

    def where(self, wanted: np.ndarray) -> "Interactions":
        """The events where ``wanted`` bool [n]; users and items stay."""
        return self._slice(wanted)

    def _slice(self, part: slice | np.ndarray) -> "Interactions":
        arrays = (self.user_idx[part], self.item_idx[part], self.weight[part], self.epoch_s[part])
        device = None if self.device is None else self.device[part]
        return Interactions(self.user_ids, self.item_ids, *arrays, device, self.devices)

    def user_items(self, values: np.ndarray) -> csr_matrix:
        """CSR float64 [users, items]: the sum of ``values`` [n] of each user's events on each item."""
        shape = (len(self.user_ids), len(self.item_ids))
        matrix = csr_matrix((values, (self.user_idx, self.item_idx)), shape=shape, dtype=np.float64)
        matrix.sum_duplicates()
        return matrix


def encode(events: pa.Table, event_weights: Mapping[str, float], listed: pa.ChunkedArray | None = None) -> Interactions:
    """Turn canonical events into arrays; events of weight 0 are left out. ``listed``: ids of items besides theirs."""
    positive = [name for name, weight in event_weights.items() if weight > 0]
    events = events.filter(pc.is_in(events[Col.EVENT_TYPE], pa.array(positive, pa.string())))
    events = events.sort_by([(Col.TIMESTAMP, "ascending"), (Col.EVENT_ID, "ascending")])
    user_ids, user_idx = _positions(events[Col.USER_ID])
    item_ids, item_idx = _positions(events[Col.ITEM_ID])
    if listed is not None:
        wider = np.union1d(item_ids, listed.to_numpy().astype(str)) if len(listed) else item_ids
        item_ids, item_idx = wider, positions(wider, item_ids)[item_idx]
    types = events[Col.EVENT_TYPE].to_numpy(zero_copy_only=False)
    weight = np.zeros(len(events), np.float32)
    for name in positive:
        weight[types == name] = event_weights[name]
    epoch_s = events[Col.TIMESTAMP].cast(pa.int64()).to_numpy() / 1e6
    return Interactions(user_ids, item_ids, user_idx, item_idx, weight, epoch_s, *_devices(events))


def known(events: pa.Table, at: datetime) -> pa.Table:
    """What was known just before ``at``: the events before it, and of cancellations those before it.

    A purchase that is wholly cancelled later stays as it was made: its ``cancelled_at`` is null.
    """
    moment = pa.scalar(at, events[Col.TIMESTAMP].type)
    events = events.filter(pc.less(events[Col.TIMESTAMP], moment))
    cancelled = events[Col.CANCELLED_AT]
    so_far = pc.if_else(pc.less(cancelled, moment), cancelled, pa.scalar(None, cancelled.type))
    return events.set_column(events.column_names.index(Col.CANCELLED_AT), Col.CANCELLED_AT, so_far)


def before(events: pa.Table, cut: datetime) -> pa.Table:
    """The events before ``cut``, less the purchases that had been wholly cancelled by then."""
    past = known(events, cut)
    return past.filter(past[Col.CANCELLED_AT].is_null())


def lasting(events: pa.Table, start: datetime, end: datetime) -> pa.Table:
    """The events in [start, end) that stood: purchases that were wholly cancelled, whenever, are left out."""
    times = events[Col.TIMESTAMP]
    inside = pc.and_(pc.greater_equal(times, pa.scalar(start, times.type)), pc.less(times, pa.scalar(end, times.type)))
    return events.filter(pc.and_(inside, events[Col.CANCELLED_AT].is_null()))


def positions(ids: np.ndarray, wanted: Any) -> np.ndarray:
    """int32 positions of ``wanted`` ids in the sorted ``ids``; -1 where an id is unknown."""
    wanted = np.asarray(wanted, dtype=str)
    if not len(ids):
        return np.full(wanted.shape, -1, np.int32)
    # Comparing in a wider string type would copy the whole array of ids; what is wider can't be among them anyway.
    narrow = wanted.astype(ids.dtype)
    at = np.minimum(np.searchsorted(ids, narrow), len(ids) - 1)
    return np.where((ids[at] == narrow) & (narrow == wanted), at, -1).astype(np.int32)


def position(ids: np.ndarray, wanted: str) -> int:
    """The position of one id, as ``positions`` has it."""
    if not len(ids) or len(wanted) > ids.dtype.itemsize // np.dtype("U1").itemsize:
        return -1
    at = int(ids.searchsorted(np.array(wanted, ids.dtype)))
    return at if at < len(ids) and ids[at] == wanted else -1


def _devices(events: pa.Table) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(the device of each event, the devices): those that most events come from."""
    if Col.DEVICE not in events.column_names:
        return None, ()
    counts = pc.value_counts(events[Col.DEVICE].drop_null()).to_pylist()
    if not counts:
        return None, ()
    most = sorted(counts, key=lambda count: (-count["counts"], count["values"]))[:MOST_DEVICES]
    devices = [count["values"] for count in most]
    place = pc.fill_null(pc.index_in(events[Col.DEVICE], pa.array(devices, pa.string())), -1)
    return place.to_numpy().astype(np.int8), tuple(devices)


def _positions(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    encoded = column.combine_chunks().dictionary_encode()
    names = np.asarray(encoded.dictionary.to_numpy(zero_copy_only=False), dtype=str)
    order = np.argsort(names, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return names[order], place[encoded.indices.to_numpy()]
