"""Items like an item, for its page: what people and the catalogue say, within the filters."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from pipelines.core.lists import similar
from pipelines.core.lists.similar import Neighbours
from pipelines.core.lists.title_index import TitleIndex
from serving.filters import Query, allowed
from serving.online import OnlineStore
from serving.problems import Unavailable
from serving.rules import Active
from serving.snapshot import Snapshot

REASONS: Final = {
    "item_item": "goes with it",
    "covisitation": "often viewed with it",
    "content": "similar to it",
    similar.TITLE: "similar to it",
    similar.CATEGORY: "popular in the same category",
}


@dataclass(frozen=True)
class Alike:
    """An item of the bundle, how alike it is (0..1, comparable within a source of an answer), and who says so."""

    item_idx: int
    score: float
    source: str

    @property
    def reason(self) -> str:
        """In words."""
        return REASONS[self.source]


class Similar:
    """Finds them. The index of titles is made when it is first needed, and again after a materialization."""

    def __init__(self, online: OnlineStore) -> None:
        self._online = online
        self._making = threading.Lock()
        self._index: tuple[tuple[int, datetime | None], TitleIndex] | None = None

    def find(self, snapshot: Snapshot, item_id: str, query: Query, active: Active) -> list[Alike] | None:
        """At most ``query.k`` items that the filters allow, best first; None where nobody knows the item.

        Raises:
            Unavailable: the model doesn't know the item, and the store, which may, can't be read.
        """
        item = snapshot.bundle.item_idx(item_id)
        title, category = self._card(snapshot, item_id) if item < 0 else _card_of(snapshot, item)
        if title is None:
            return None
        found: dict[int, Alike] = {}
        for look in self._ways(snapshot, item, title, category):
            one = look()
            keep = allowed(snapshot, query, active, among=one.item_idx) & (one.item_idx != item)
            for n in np.flatnonzero(keep).tolist():
                new = Alike(int(one.item_idx[n]), float(one.scores[n]), one.sources[n])
                found.setdefault(new.item_idx, new)
                if len(found) == query.k:
                    return list(found.values())
        return list(found.values())

    def _ways(
        self, snapshot: Snapshot, item: int, title: str, category: str | None
    ) -> Iterator[Callable[[], Neighbours]]:
        """Where to look, the best way first; each is gone only where those before found too few."""
        bundle, cards = snapshot.bundle, snapshot.cards
        if item >= 0:
            yield lambda: similar.of_item(bundle, item)
        yield lambda: similar.by_title(self._titles(snapshot).alike(title, category))
        code = cards.categories.get(category, -1) if category is not None else -1
        yield lambda: similar.popular_beside(bundle, cards.codes, code)

    def _card(self, snapshot: Snapshot, item_id: str) -> tuple[str | None, str | None]:
        """(title, category) of an item that came after the model, from the online store."""
        features = snapshot.features
        cards = self._online.read(lambda: features.cards([item_id])) if features else None
        if cards is None:
            raise Unavailable("the online store can't be read now, and the model doesn't know this item")
        title, category = (cards[name][0] for name in ("title", "category"))
        return (title if isinstance(title, str) else None), (category if isinstance(category, str) else None)

    def _titles(self, snapshot: Snapshot) -> TitleIndex:
        of = (snapshot.version, snapshot.as_of)
        with self._making:
            if self._index is None or self._index[0] != of:
                self._index = (of, TitleIndex.of(snapshot.cards.title, snapshot.cards.category))
            return self._index[1]


def _card_of(snapshot: Snapshot, item: int) -> tuple[str, str | None]:
    return snapshot.cards.title[item], snapshot.cards.category[item]
