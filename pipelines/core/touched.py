"""The entities that change at one midnight, in the order of their keys."""

from collections.abc import Sequence

import numpy as np

from pipelines.core.entities import Entities, Places


class Touched:
    """The different entities of several lists, each of which is sorted already."""

    def __init__(self, kind: str, lists: Sequence[Places], entities: Entities) -> None:
        every = np.concatenate(lists)
        codes = entities.codes(kind, every)
        order = entities.order(kind, codes)
        by_order = np.argsort(order, kind="stable")  # a merge of runs: several times as fast as a sort
        order = order[by_order]
        first = np.append(True, order[1:] != order[:-1])[: len(order)]
        place = np.empty(len(every), np.int64)
        place[by_order] = np.cumsum(first) - 1
        some = by_order[first]
        self.places = every[some].astype(np.int64)
        self.codes = tuple(of_key[some] for of_key in codes)
        self.at = np.split(place, np.cumsum([len(some) for some in lists])[:-1])
        """Where the entities of each list are among ``places``."""

    def __len__(self) -> int:
        return len(self.places)
