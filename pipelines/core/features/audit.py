"""Which values an audit asks for, and whether two readings of them agree.

Times are microseconds since 1970 (UTC).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from pipelines.core.features.brute_force import DAY, Values, midnight, nothing
from pipelines.core.features.feature_views import VIEWS, WINDOWS

TOLERANCE: Final = 1e-12
"""By how much, relative, two floats may differ: they may have been divided in another order."""
MADE_UP: Final = 0.02
"""Share of pairs whose entity doesn't exist."""
SHOWN: Final = 50
"""Mismatches that a report lists."""


@dataclass(frozen=True, order=True)
class Pair:
    """An entity of a view (values in the order of the view's keys) and a moment."""

    view: str
    keys: tuple[str, ...]
    at: int


@dataclass(frozen=True)
class Mismatch:
    """A value that isn't what it should be."""

    pair: Pair
    feature: str
    expected: Any
    found: Any


@dataclass
class Tally:
    """What came of comparing rows of one view in one store."""

    compared: int = 0
    wrong: int = 0
    """Rows with at least one wrong value."""
    left_out: int = 0
    """Rows that were pushed live since, which nothing can be compared with."""
    features: Counter[str] = field(default_factory=Counter)
    """Feature -> wrong values."""
    first: list[Mismatch] = field(default_factory=list)
    """At most ``SHOWN``."""

    @property
    def rate(self) -> float:
        """The share of rows with a wrong value."""
        return self.wrong / self.compared if self.compared else 0.0

    def add(self, pair: Pair, expected: Values | None, found: Values | None) -> None:
        """Compare what a row should be with what it is; None where there is no row."""
        self.compared += 1
        wrong = differences(expected or {}, found or {})
        self.wrong += bool(wrong)
        self.features.update(wrong.keys())
        values = [Mismatch(pair, name, *both) for name, both in wrong.items()]
        self.first += values[: SHOWN - len(self.first)]


def differences(expected: Values, found: Values) -> dict[str, tuple[Any, Any]]:
    """Feature -> (expected, found) where they differ; a missing value is null."""
    values = {name: (expected.get(name), found.get(name)) for name in expected | found}
    return {name: both for name, both in values.items() if not _same(*both)}


def is_gone(view: str, found: Values) -> bool:
    """Whether a row says that nothing is left of its entity: a correction never deletes."""
    return all(not found[name] or _same(found[name], value) for name, value in nothing(view).items())


def pairs(
    view: str, entities: Sequence[tuple[tuple[str, ...], int]], n: int, span: tuple[int, int], rng: np.random.Generator
) -> list[Pair]:
    """``n`` pairs of ``view``, some of entities that don't exist; always the same for a generator in the same state.

    Args:
        entities: the keys of entities, each with the time of one of its events; taken in turn.
        span: the first event's time and the last midnight that features know.
    """
    found = []
    for place in range(n):
        keys, event = entities[place % len(entities)]
        if rng.random() < MADE_UP:
            keys = _made_up(keys, rng)
        found.append(Pair(view, keys, _moment(event, span, rng)))
    return found


def _made_up(keys: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """The keys with one in place of which nobody is known."""
    place = int(rng.integers(len(keys)))
    return *keys[:place], f"nobody-{rng.integers(1000)}", *keys[place + 1 :]


def _moment(event: int, span: tuple[int, int], rng: np.random.Generator) -> int:
    """A time where something may go wrong: at a midnight, just around one, around an event, or anywhere."""
    first, until = span
    tick = int(rng.integers(-1, 2))
    leaves = midnight(event) + DAY * (1 + int(rng.choice((0, *WINDOWS))))  # counted, or out of a window
    anywhere = int(rng.integers(first - 2 * DAY, until + 2 * DAY))
    moments = (leaves + tick, leaves + tick, midnight(anywhere) + tick, anywhere, event + tick, midnight(event) + tick)
    return moments[int(rng.integers(len(moments)))]


def rate(tallies: Iterable[Tally]) -> float:
    """The share of all rows with a wrong value."""
    tallies = list(tallies)
    return sum(t.wrong for t in tallies) / max(1, sum(t.compared for t in tallies))


def metrics(stores: Mapping[str, Mapping[str, Tally]]) -> dict[str, float]:
    """Mismatch rates by store, view and feature under the names of metrics. Store -> view -> tally."""
    found = {}
    for store, tallies in stores.items():
        found[f"{store}.mismatch_rate"] = rate(tallies.values())
        found[f"{store}.rows"] = float(sum(t.compared for t in tallies.values()))
        found[f"{store}.left_out"] = float(sum(t.left_out for t in tallies.values()))
        for view, tally in tallies.items():
            found[f"{store}.{view}.mismatch_rate"] = tally.rate
            for name in VIEWS[view].features:
                found[f"{store}.{view}.{name}.mismatch_rate"] = tally.features[name] / max(1, tally.compared)
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=0.0)
    return bool(a == b)
