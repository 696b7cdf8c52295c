"""What people see of a model's items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.models.bundle import Bundle


@dataclass(frozen=True)
class Cards:
    """What people see of the bundle's items, each [items]."""

    title: Sequence[str]
    category: Sequence[str | None]
    price: np.ndarray
    """float64, NaN where unknown."""
    in_stock: np.ndarray
    """bool; an item of which the store knows nothing can be shown."""
    codes: np.ndarray
    """int32, position in ``categories``; -1 where unknown."""
    categories: Mapping[str, int]

    @classmethod
    def of(cls, bundle: Bundle, values: Mapping[str, np.ndarray]) -> "Cards":
        """From what the store gives; an item without a title goes by its id."""
        title, in_stock = texts(values["title"]), values["in_stock"].tolist()
        category = texts(values["category"])
        names = sorted({c for c in category if c is not None})
        known = {name: code for code, name in enumerate(names)}
        codes = np.array([-1 if c is None else known[c] for c in category], np.int32)
        return cls(
            title=[t or item_id for t, item_id in zip(title, bundle.item_ids.tolist(), strict=True)],
            category=[names[code] if code >= 0 else None for code in codes.tolist()],  # one text for all of its items
            price=np.asarray(values["price"], np.float64),
            in_stock=np.array([t is None or bool(i) for t, i in zip(title, in_stock, strict=True)], bool),
            codes=codes,
            categories=known,
        )

    @classmethod
    def unknown(cls, bundle: Bundle) -> "Cards":
        """Cards of items of which only the ids are known."""
        none, nan = np.full(len(bundle.item_ids), None), np.full(len(bundle.item_ids), np.nan)
        return cls.of(bundle, {"title": none, "category": none, "price": nan, "in_stock": none})


def texts(values: np.ndarray) -> list[str | None]:
    """The texts of a column; None where there is none."""
    return [v if isinstance(v, str) else None for v in values.tolist()]
