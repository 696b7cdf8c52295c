"""What features are about: users, items, users with items, users with categories."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.columns import Col
from pipelines.core.features.codes import Codes
from pipelines.core.features.pair_index import PairIndex, pair_keys

USER: Final = "user"
ITEM: Final = "item"
USER_ITEM: Final = "user_item"
USER_CATEGORY: Final = "user_category"
KINDS: Final = (USER, ITEM, USER_ITEM, USER_CATEGORY)

_NAMES: Final = {USER: (Col.USER_ID,), ITEM: (Col.ITEM_ID,), USER_ITEM: (Col.USER_ID, Col.ITEM_ID),
                 USER_CATEGORY: (Col.USER_ID, Col.CATEGORY)}  # fmt: skip

Places = NDArray[np.integer]


class Entities:
    """The entities of each kind at their places: users and items at their codes, pairs as they came."""

    def __init__(
        self,
        users: Codes,
        items: Codes,
        categories: Codes,
        pairs: PairIndex | None = None,
        user_categories: PairIndex | None = None,
    ) -> None:
        self.users, self.items, self.categories = users, items, categories
        self.pairs = PairIndex() if pairs is None else pairs
        self.user_categories = PairIndex() if user_categories is None else user_categories

    def count(self, kind: str) -> int:
        """How many places there are."""
        if kind in (USER, ITEM):
            return len(self.users if kind == USER else self.items)
        return len(self.pairs if kind == USER_ITEM else self.user_categories)

    def codes(self, kind: str, places: Places) -> tuple[Places, ...]:
        """The codes of the keys of each place: one array, or two for pairs."""
        if kind in (USER, ITEM):
            return (places,)
        return (self.pairs if kind == USER_ITEM else self.user_categories).codes(places)

    def order(self, kind: str, codes: tuple[Places, ...]) -> NDArray[np.integer]:
        """A number for each entity, in the order of the keys as strings. Later ids leave the order as it is."""
        ranks = [ids.rank()[some] for ids, some in zip(self._ids(kind), codes, strict=True)]
        return ranks[0] if len(ranks) == 1 else pair_keys(*ranks)

    def keys(self, kind: str, codes: tuple[Places, ...]) -> dict[str, pa.DictionaryArray]:
        """The key columns of entities: name -> ids, as a dictionary of those that occur."""
        columns = zip(_NAMES[kind], self._ids(kind), codes, strict=True)
        return {name: dictionary(ids, some) for name, ids, some in columns}

    def _ids(self, kind: str) -> tuple[Codes, ...]:
        first = self.items if kind == ITEM else self.users
        second = {USER_ITEM: (self.items,), USER_CATEGORY: (self.categories,)}
        return first, *second.get(kind, ())


def dictionary(codes: Codes, places: Places) -> pa.DictionaryArray:
    """The ids of ``places``, each id that occurs once in the dictionary, in the order of their codes."""
    occurs = np.zeros(len(codes), bool)
    occurs[places] = True
    short = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return pa.DictionaryArray.from_arrays(short[places], codes.ids.take(pa.array(np.flatnonzero(occurs))))
