"""What must be written so that rows that were written say what is true now. Nothing written is ever taken away."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import Col
from pipelines.core.features.feature_views import VIEWS


class Latest:
    """The newest row so far of each key of a view: what is true of it until its next row."""

    def __init__(self, view: str) -> None:
        self._view = view
        self._rows = VIEWS[view].schema.empty_table()
        self._more: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        """Take in the rows of the next midnight."""
        self._more.append(rows)
        if sum(map(len, self._more)) > len(self._rows):
            self._merge()

    def instead_of(self, gone: pa.Table) -> pa.Table:
        """For each row of ``gone`` (later than all rows so far), the same keys and stamps with what was true before."""
        self._merge()
        keys = VIEWS[self._view].keys
        return with_values(
            self._view, gone, self._rows.take(pc.index_in(_joined(gone, keys), _joined(self._rows, keys)))
        )

    def _merge(self) -> None:
        keys = VIEWS[self._view].keys
        rows = pa.concat_tables([self._rows, *self._more])
        numbered = rows.select(keys).append_column("row", pa.array(np.arange(len(rows))))
        last = numbered.group_by(list(keys)).aggregate([("row", "max")])
        self._rows, self._more = rows.take(last["row_max"]), []


def differing(new: pa.Table, old: pa.Table, by: Sequence[str]) -> pa.Table:
    """The rows of ``new`` that ``old`` doesn't have, or not with these features; ``by`` tells rows apart."""
    at = pc.index_in(_joined(new, by), _joined(old, by))
    known = old.take(at)
    same = at.is_valid().to_numpy(zero_copy_only=False)
    for name in new.column_names:
        if name not in (*by, Col.CREATED_TIMESTAMP):
            same &= _equal(new[name], known[name])
    return new.filter(pa.array(~same))


def gone(new: pa.Table, old: pa.Table, by: Sequence[str]) -> pa.Table:
    """The rows of ``old`` that ``new`` doesn't have."""
    return old.filter(pc.is_null(pc.index_in(_joined(old, by), _joined(new, by))))


def with_values(view: str, rows: pa.Table, values: pa.Table) -> pa.Table:
    """``rows`` with the features of ``values``; where these are null, with those of an entity that has nothing.

    Counts and sums of nothing are 0, everything else is null; of a profile all is.
    """
    columns = {name: rows[name] for name in (*VIEWS[view].keys, Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP)}
    unknown = pc.is_null(values[VIEWS[view].keys[0]])
    for name, kind in VIEWS[view].features.items():
        countable = pa.types.is_integer(kind) and not name.endswith("_epoch_s") and view != "item_profile_v1"
        nothing = pa.scalar(0 if countable else None, kind)
        columns[name] = pc.if_else(unknown, nothing, values[name]) if countable else values[name]
    return pa.table(columns, schema=VIEWS[view].schema)


def _joined(rows: pa.Table, by: Sequence[str]) -> pa.Array:
    """One string for each row."""
    texts = [
        rows[name].cast(pa.int64()).cast(pa.string()) if name == Col.EVENT_TIMESTAMP else rows[name] for name in by
    ]
    joined = pc.binary_join_element_wise(*texts, "\x1f") if len(texts) > 1 else texts[0]
    return joined.combine_chunks()


def _equal(some: pa.ChunkedArray, others: pa.ChunkedArray) -> np.ndarray:
    """bool [rows]: where both are equal or both are null."""
    if pa.types.is_list(some.type):
        return np.array([a == b for a, b in zip(some.to_pylist(), others.to_pylist(), strict=True)], np.bool_)
    both_null = pc.and_(pc.is_null(some), pc.is_null(others))
    equal = pc.or_(pc.fill_null(pc.equal(some, others), False), both_null)
    return np.asarray(equal.to_numpy())
