"""Which pairs of a user and an item a change of a day's events is about."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.core.features.coded_days import CodedRows
from pipelines.core.features.day_events import DayEvents, Int32, Int64, TakenBack

UInt64 = NDArray[np.uint64]

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(32)
_EVENT: Final = 1
_TAKEN: Final = 2


@dataclass(frozen=True)
class LogDay:
    """What happened on one day (UTC), and its fingerprint."""

    events: DayEvents
    taken_back: TakenBack
    fingerprint: UInt64


def fingerprint(rows: CodedRows, back: TakenBack) -> UInt64:
    """uint64 [2, pairs]: each pair of user and item that has something on the day, and a hash of what it has.

    Pairs are in order, user << 32 | item by their codes. The order of events is in the hash as far as time doesn't give
    it: of events at one moment their place.
    """
    events: list[Any] = [rows.category, rows.kind, rows.cents, rows.priced, rows.quantity, rows.time, _place(rows.time)]
    taken: list[Any] = [back.category, back.purchase_day, back.cents, back.quantity, back.whole]
    pairs = np.concatenate([_pairs(rows.user, rows.item), _pairs(back.user, back.item)])
    hashes = np.concatenate([_hash(_EVENT, events), _hash(_TAKEN, taken)])
    order = np.argsort(pairs, kind="stable")
    found, starts = np.unique(pairs[order], return_index=True)
    return np.stack([found, np.add.reduceat(hashes[order], starts) if len(found) else found])


def changed(before: UInt64, after: UInt64) -> UInt64:
    """uint64 [pairs]: the pairs that two fingerprints of a day differ in."""
    both = np.concatenate([before, after], axis=1)
    both = both[:, np.lexsort(both)]
    equal = (both[:, 1:] == both[:, :-1]).all(axis=0)
    same = np.r_[equal, False] | np.r_[False, equal]
    return np.unique(both[0, ~same[: both.shape[1]]])


def users_of(pairs: UInt64) -> Int32:
    """The codes of the users of ``pairs``, each once."""
    return np.unique(pairs >> _SHIFT).astype(np.int32)


def items_of(pairs: UInt64) -> Int32:
    """The codes of the items of ``pairs``, each once."""
    return np.unique(pairs & np.uint64(0xFFFFFFFF)).astype(np.int32)


def _pairs(users: Int32, items: Int32) -> UInt64:
    return users.astype(np.uint64) << _SHIFT | items.astype(np.uint64)


def _hash(kind: int, columns: list[Any]) -> UInt64:
    """A hash of each row's whole numbers; those of a pair are added up, whatever their order."""
    mixed = np.full(len(columns[0]), kind, np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * _ODD
        mixed ^= mixed >> _SHIFT
    return mixed * _ODD


def _place(time: Int64) -> Int64:
    """The place of each row among those of its moment."""
    at = np.arange(len(time))
    starts = np.r_[True, time[1:] != time[:-1]] if len(time) else np.empty(0, np.bool_)
    return at - np.maximum.accumulate(np.where(starts, at, 0))
