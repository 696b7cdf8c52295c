"""Ids as small integers: what arrays are indexed with."""

from bisect import bisect

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Int32 = NDArray[np.int32]


class Codes:
    """Ids ↔ codes 0, 1, 2, … in the order of their first appearance. Ids are only ever added."""

    def __init__(self, ids: pa.StringArray | None = None) -> None:
        self._chunks = [_strings(ids)] if ids is not None and len(ids) else []
        self._sorted: list[str] = []  # the ids that have been ranked, in order, and their codes
        self._order: Int32 = np.empty(0, np.int32)
        self._ranks: Int32 = self._order

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    @property
    def ids(self) -> pa.StringArray:
        """The ids in the order of their codes."""
        if len(self._chunks) != 1:
            self._chunks = [pa.concat_arrays(self._chunks) if self._chunks else pa.array([], pa.string())]
        return self._chunks[0]

    def encode(self, ids: pa.Array | pa.ChunkedArray) -> Int32:
        """The code of each id, adding those that are new; -1 for null."""
        if isinstance(ids, pa.ChunkedArray):
            ids = ids.combine_chunks()
        if not pa.types.is_dictionary(ids.type):
            ids = ids.dictionary_encode()
        distinct = _strings(ids.dictionary)
        codes = pc.index_in(distinct, self.ids)
        new = distinct.filter(codes.is_null()).unique().drop_null()
        if len(new):
            self._chunks.append(new)
            codes = pc.index_in(distinct, self.ids)
        table = np.append(codes.fill_null(-1).to_numpy(zero_copy_only=False), -1).astype(np.int32)
        found: Int32 = table[ids.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)]
        return found

    def rank(self) -> Int32:
        """The place of each code's id among all ids in the order of strings (UTF-8 bytes)."""
        if len(self._ranks) < len(self):
            self._rank_new()
            self._ranks = np.empty(len(self), np.int32)
            self._ranks[self._order] = np.arange(len(self), dtype=np.int32)
        return self._ranks

    def _rank_new(self) -> None:
        """Merge the ids that have come since the last ranking: their number counts, not that of all."""
        known = len(self._order)
        new = self.ids.slice(known)
        by_id = pc.sort_indices(new)
        ids = new.take(by_id).to_pylist()
        places = [bisect(self._sorted, i) for i in ids]
        self._order = np.insert(self._order, places, known + by_id.to_numpy().astype(np.int32))
        self._sorted += ids
        self._sorted.sort()  # two sorted runs: a merge


def _strings(ids: pa.Array) -> pa.StringArray:
    return ids.cast(pa.string())
