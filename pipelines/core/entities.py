"""What features are about: users, items, users with items, users with categories."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.codes import Codes
from pipelines.core.columns import Col
from pipelines.core.pair_index import PairIndex, pair_keys

USER: Final = "user"
ITEM: Final = "item"
USER_ITEM: Final = "user_item"
USER_CATEGORY: Final = "user_category"
KINDS: Final = (USER, ITEM, USER_ITEM, USER_CATEGORY)

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
        every = {USER: self.users, ITEM: self.items, USER_ITEM: self.pairs, USER_CATEGORY: self.user_categories}
        return len(every[kind])  # type: ignore[arg-type]

    def order(self, kind: str, places: Places) -> NDArray[np.integer]:
        """A number for each place, in the order of the keys as strings. Later ids leave the order as it is."""
        if kind == USER:
            return self.users.rank()[places]
        if kind == ITEM:
            return self.items.rank()[places]
        index, seconds = self._pairs(kind)
        return pair_keys(self.users.rank()[index.first(places)], seconds.rank()[index.second(places)])

    def keys(self, kind: str, places: Places) -> dict[str, pa.DictionaryArray]:
        """The key columns of the entities at ``places``: name -> ids, as a dictionary of those that occur."""
        if kind == USER:
            return {Col.USER_ID: dictionary(self.users, places)}
        if kind == ITEM:
            return {Col.ITEM_ID: dictionary(self.items, places)}
        index, seconds = self._pairs(kind)
        name = Col.ITEM_ID if kind == USER_ITEM else Col.CATEGORY
        return {
            Col.USER_ID: dictionary(self.users, index.first(places)),
            name: dictionary(seconds, index.second(places)),
        }

    def _pairs(self, kind: str) -> tuple[PairIndex, Codes]:
        return (self.pairs, self.items) if kind == USER_ITEM else (self.user_categories, self.categories)


def dictionary(codes: Codes, places: Places) -> pa.DictionaryArray:
    """The ids of ``places``, each id that occurs once in the dictionary, in the order of their codes."""
    occurs = np.zeros(len(codes), bool)
    occurs[places] = True
    short = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return pa.DictionaryArray.from_arrays(short[places], codes.ids.take(pa.array(np.flatnonzero(occurs))))
