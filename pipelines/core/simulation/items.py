"""The simulated shop's items."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.simulation.words import DEPARTMENTS, LEVELS, STYLES

CATEGORIES = tuple(DEPARTMENTS)
N_STYLES, N_LEVELS = len(STYLES), len(LEVELS)
N_CELLS = len(CATEGORIES) * N_STYLES * N_LEVELS
RELATED = 6


@dataclass(frozen=True)
class Items:
    """Items sorted by cell = (category, style, price level); arrays of length n unless marked. Days count from 0."""

    ids: NDArray[np.object_]
    titles: list[str]
    cell: NDArray[np.int64]
    category: NDArray[np.int64]
    style: NDArray[np.int64]
    level: NDArray[np.int64]
    price: NDArray[np.float64]
    popularity: NDArray[np.float64]  # Zipf weights
    quality: NDArray[np.float64]  # in [0, 1]: how well a view converts
    arrival: NDArray[np.int64]
    trend: NDArray[np.float64]  # [3, n]: amplitude, period in days, phase
    related: NDArray[np.int64]  # [n, RELATED]: what is often looked at next
    outage: NDArray[np.int64]  # [2, n]: first day out of stock, first day back; equal where never
    sale: NDArray[np.int64]  # [2, n]: first day on sale, first day after
    bounds: NDArray[np.int64]  # [N_CELLS + 1]: where each cell starts

    def in_stock(self, day: int) -> NDArray[np.bool_]:
        """Which items can be bought on ``day``."""
        return ~((self.outage[0] <= day) & (day < self.outage[1]))

    def weights(self, day: int) -> NDArray[np.float64]:
        """How much each item draws attention on ``day``: its popularity, drifting; more when new, less when out."""
        amplitude, period, phase = self.trend
        weight = self.popularity * np.exp(amplitude * np.sin(2 * np.pi * (day / period + phase)))
        weight *= np.where((self.arrival > 0) & (day - self.arrival < 10), 2.5, 1.0)
        weight *= np.where(self.in_stock(day), 1.0, 0.3)
        return np.where(self.arrival <= day, weight, 0.0)

    def prices(self, day: int) -> NDArray[np.float64]:
        """Each item's price on ``day``; a sale takes a fifth off."""
        on_sale = (self.sale[0] <= day) & (day < self.sale[1])
        return np.where(on_sale, self.price * 0.8, self.price).round(2)


def make_items(n: int, days: int, rng: Generator) -> Items:
    """Draw ``n`` items for a log of ``days`` days."""
    department = rng.permutation(np.arange(n) % len(CATEGORIES))
    cell = np.sort((department * N_STYLES + rng.integers(N_STYLES, size=n)) * N_LEVELS + _levels(n, rng))
    category, style, level = cell // (N_STYLES * N_LEVELS), cell // N_LEVELS % N_STYLES, cell % N_LEVELS
    titles, nouns = _titles(category, style, rng)
    popularity = np.power(1.0 + rng.permutation(n), -0.75).astype(np.float64)
    late = rng.random(n) < 0.2
    bounds = np.searchsorted(cell, np.arange(N_CELLS + 1))
    return Items(
        ids=_ids("P", n, 4)[rng.permutation(n)],
        titles=titles,
        cell=cell,
        category=category,
        style=style,
        level=level,
        price=_prices(nouns, level, rng),
        popularity=popularity / popularity.sum(),
        quality=rng.beta(4, 3, n),
        arrival=np.where(late, rng.integers(1, max(2, days - 3), n), 0),
        trend=np.stack([rng.uniform(0, 1.2, n), rng.uniform(30, 120, n), rng.random(n)]),
        related=_related(category, style, popularity, rng),
        outage=_outages(n, days, rng),
        sale=_windows(rng.random(n) < 0.15, days, 5, 15, rng),
        bounds=bounds,
    )


def products(items: Items, day: int, rng: Generator) -> list[dict[str, Any]]:
    """The catalogue on ``day`` in FakeStore's shape plus ``in_stock``, sorted by id; includes items yet to arrive."""
    rate = np.round(np.clip(2.6 + 2.2 * items.quality + rng.normal(0, 0.25, len(items.ids)), 1, 5), 1)
    count = rng.poisson(40 + 4000 * items.popularity / items.popularity.max() * 0.2)
    names = list(STYLES)
    listing = [
        {
            "id": str(items.ids[i]),
            "title": items.titles[i],
            "price": float(price),
            "description": f"{items.titles[i]}: {names[items.style[i]]} {CATEGORIES[items.category[i]]}.",
            "category": CATEGORIES[items.category[i]],
            "image": None,
            "rating": {"rate": float(rate[i]), "count": int(count[i])},
            "in_stock": bool(stock),
        }
        for i, (price, stock) in enumerate(zip(items.prices(day), items.in_stock(day), strict=True))
    ]
    return sorted(listing, key=lambda product: str(product["id"]))


def _ids(prefix: str, n: int, width: int) -> NDArray[np.object_]:
    width = max(width, len(str(n)))
    return np.array([f"{prefix}{number:0{width}d}" for number in range(1, n + 1)], dtype=object)


def _levels(n: int, rng: Generator) -> NDArray[np.int64]:
    return rng.choice(N_LEVELS, size=n, p=[0.35, 0.45, 0.2])


def _titles(
    category: NDArray[np.int64], style: NDArray[np.int64], rng: Generator
) -> tuple[list[str], NDArray[np.float64]]:
    """Unique titles "adjective material noun" that fit category and style, and the noun's usual price."""
    adjectives, departments = list(STYLES.values()), list(DEPARTMENTS.values())
    deck: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    dealt: dict[str, int] = {}
    titles, usual = [], np.empty(len(category))
    for i, (c, s) in enumerate(zip(category.tolist(), style.tolist(), strict=True)):
        department = departments[c]
        cards = deck.setdefault((c, s), [])
        if not cards:
            shape = (len(adjectives[s]), len(department.materials), len(department.nouns))
            order = rng.permutation(int(np.prod(shape)))
            cards += zip(*(axis.tolist() for axis in np.unravel_index(order, shape)), strict=True)
        a, m, noun = cards.pop()
        name = list(department.nouns)[noun]
        title = f"{adjectives[s][a]} {department.materials[m]} {name}"
        dealt[title] = dealt.get(title, 0) + 1
        titles.append(title if dealt[title] == 1 else f"{title} No. {dealt[title]}")
        usual[i] = department.nouns[name]
    return titles, usual


def _prices(usual: NDArray[np.float64], level: NDArray[np.int64], rng: Generator) -> NDArray[np.float64]:
    factor = np.array(list(LEVELS.values()))[level]
    price = np.maximum(usual * factor * rng.lognormal(0, 0.12, len(usual)), 2)
    return np.floor(price) + rng.choice([0.0, 0.49, 0.95, 0.99], size=len(usual))


def _related(
    category: NDArray[np.int64], style: NDArray[np.int64], popularity: NDArray[np.float64], rng: Generator
) -> NDArray[np.int64]:
    """Four neighbours in the sorted order (mostly of the same cell) and two of the category that goes with it."""
    n = len(category)
    near = np.clip(np.arange(n)[:, None] + np.array([-2, -1, 1, 2]), 0, n - 1)
    goes_with = np.array([CATEGORIES.index(d.goes_with) for d in DEPARTMENTS.values()])
    far = np.empty((n, RELATED - 4), dtype=np.int64)
    for c in range(len(CATEGORIES)):
        for s in range(N_STYLES):
            of = np.flatnonzero((category == c) & (style == s))
            pool = np.flatnonzero((category == goes_with[c]) & (style == s))
            pool = pool if len(pool) else np.arange(n)
            weight = popularity[pool] / popularity[pool].sum()
            far[of] = rng.choice(pool, size=(len(of), far.shape[1]), p=weight)
    return np.concatenate([near, far], axis=1)


def _outages(n: int, days: int, rng: Generator) -> NDArray[np.int64]:
    """Some items are out of stock for a while, and some of them at the end."""
    outage = _windows(rng.random(n) < 0.08, days, 3, 14, rng)
    at_end = rng.choice(n, size=max(1, n // 40), replace=False)
    outage[0, at_end] = days - rng.integers(1, min(10, days) + 1, len(at_end))
    outage[1, at_end] = days + 1
    return outage


def _windows(chosen: NDArray[np.bool_], days: int, shortest: int, longest: int, rng: Generator) -> NDArray[np.int64]:
    first = rng.integers(0, days, len(chosen))
    length = rng.integers(shortest, longest + 1, len(chosen))
    return np.stack([first, np.where(chosen, np.minimum(first + length, days), first)])
