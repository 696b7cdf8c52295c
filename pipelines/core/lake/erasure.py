"""Rows of users who asked to be erased. Who they are is kept as SHA-256 of their ids only."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import UTC_US

_BETWEEN: Final = re.compile(r"""[\s,;|"']+""")
"""What may stand between the fields of a line that can't be split into the header's."""


def user_hash(user_id: str) -> bytes:
    """What an erased user goes by."""
    return hashlib.sha256(user_id.encode()).digest()


@dataclass
class Erased:
    """The users to leave out, each with all that happened up to the time of the erasure (UTC).

    ``found`` collects whose rows there were; threads may share it.
    """

    at: Mapping[bytes, datetime]
    found: set[bytes] = field(default_factory=set)

    def rows(self, user_ids: pa.ChunkedArray, times: pa.ChunkedArray) -> np.ndarray:
        """bool [n]: the rows of erased users. A row whose time is null may be old, so it is one of them."""
        coded = user_ids.combine_chunks().dictionary_encode()
        hashes = [user_hash(user_id) for user_id in coded.dictionary.to_pylist()]
        limits = pa.array([self.at.get(hashed) for hashed in hashes], UTC_US).take(coded.indices)
        gone = pc.and_(limits.is_valid(), pc.fill_null(pc.less_equal(times.combine_chunks(), limits), True))
        self.found.update(hashes[place] for place in coded.indices.filter(gone).unique().to_pylist())
        return np.asarray(gone.to_numpy(zero_copy_only=False), bool)

    def lines(self, texts: pa.ChunkedArray) -> np.ndarray:
        """bool [n]: the lines, as they came, with an erased user's id among their words; a null has none."""
        gone = np.zeros(len(texts), bool)
        for place in np.flatnonzero(texts.is_valid().to_numpy()):
            named = self.at.keys() & map(user_hash, _BETWEEN.split(texts[int(place)].as_py()))
            gone[place] = bool(named)
            self.found |= named
        return gone

    @property
    def digest(self) -> str:
        """What was left out, as one text: another one where other rows were. Empty where none was."""
        said = "".join(f"{hashed.hex()} {self.at[hashed].isoformat()}\n" for hashed in sorted(self.found))
        return hashlib.sha256(said.encode()).hexdigest() if said else ""
