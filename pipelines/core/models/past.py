"""Everything that a model may know at its cut, with what several candidate sources make of it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.models import histories
from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import Interactions, positions

T = TypeVar("T")


@dataclass(frozen=True)
class Catalogue:
    """What is known of the items at the cut, each [items] in the order of ``Interactions.item_ids``."""

    text: np.ndarray
    """object: title and description; None where unknown."""
    category: np.ndarray
    """object: None where unknown."""
    price: np.ndarray
    """float64, NaN where unknown."""

    @classmethod
    def unknown(cls, n_items: int) -> "Catalogue":
        """Nothing is known of any item."""
        return cls(np.full(n_items, None), np.full(n_items, None), np.full(n_items, np.nan))

    @classmethod
    def of(cls, item_ids: np.ndarray, listed: pa.Table) -> "Catalogue":
        """From a table of item_id and, each where there is one, title, description, category and price."""
        place = positions(item_ids, listed[Col.ITEM_ID].to_numpy(zero_copy_only=False))
        known = cls.unknown(len(item_ids))
        words = [listed[name].to_pylist() for name in (Col.TITLE, "description") if name in listed.column_names]
        texts = [" ".join(filter(None, said)) or None for said in zip(*words, strict=True)] if words else None
        category = listed[Col.CATEGORY].to_pylist() if Col.CATEGORY in listed.column_names else None
        price = listed[Col.PRICE].to_pylist() if Col.PRICE in listed.column_names else None
        for array, values in ((known.text, texts), (known.category, category), (known.price, price)):
            if values is not None:
                array[place[place >= 0]] = np.array(values, array.dtype)[place >= 0]
        return known


@dataclass(frozen=True)
class Past:
    """What happened before a cut."""

    interactions: Interactions
    """All of them lie before the cut."""
    at: float
    """The cut, epoch seconds."""
    catalogue: Catalogue
    seed: int
    _shared: dict[Any, Any] = field(default_factory=dict, compare=False)
    _making: Any = field(default_factory=RLock, compare=False)

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once for all sources that ask for it by this ``key``."""
        with self._making:  # sources are fitted side by side
            if key not in self._shared:
                self._shared[key] = make()
            found: T = self._shared[key]
        return found

    @property
    def histories(self) -> Histories:
        """Of all users, at the cut."""
        return self.shared("histories", lambda: histories.of_log(self.interactions, self.at))

    @property
    def n_items(self) -> int:
        """Items that can be proposed."""
        return len(self.interactions.item_ids)

    def rng(self) -> np.random.Generator:
        """A generator of the seed: each source gets its own, so that none depends on which others are fitted."""
        return np.random.default_rng(self.seed)
