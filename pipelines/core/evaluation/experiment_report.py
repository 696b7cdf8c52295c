"""What an experiment showed: conversion of each arm, how it differs from the first arm's, and what it would be for all.

Users are divided by chance, so users are counted: the share of an arm's users who converted, with Wilson's interval
(1927), and differences with Newcombe's interval 10 (1998) and the two-proportion z-test. Per recommendation, what the
rate would be if everybody got the arm: the self-normalized estimator SNIPS (Swaminathan, Joachims 2015), which weighs
each by the inverse of the probability of its arm, and so is right also where the weights changed meanwhile.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2

Z: Final = 1.959963984540054
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Exposures:
    """What users of an arm were shown, a row a user and propensity; all arrays [n]."""

    user: np.ndarray
    """Any ids."""
    propensity: np.ndarray
    """float64: the probability with which the user got the arm."""
    shown: np.ndarray
    """int64: recommendations."""
    converted: np.ndarray
    """int64: of those, recommendations from which something came."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """An arm's rate less the first arm's, and the two-sided p-value of there being none."""

    p: float


@dataclass(frozen=True)
class ArmReport:
    """One arm's figures."""

    exposures: int
    users: int
    conversions: int
    """Exposures from which something came."""
    converted_users: int
    rate: Interval | None
    """Share of users who converted; None without users."""
    difference: Difference | None
    """To the first arm; None of the first itself, or where either has no users."""
    snips: Interval | None
    """Conversions an exposure if everybody got this arm; None without exposures."""


def report(arms: Sequence[Exposures]) -> list[ArmReport]:
    """The figures of each arm; the first is what the others are compared with."""
    counts = [_users(arm) for arm in arms]
    return [
        ArmReport(
            exposures=int(arm.shown.sum()),
            users=users,
            conversions=int(arm.converted.sum()),
            converted_users=converted,
            rate=wilson(converted, users) if users else None,
            difference=difference((converted, users), counts[0]) if place and users and counts[0][1] else None,
            snips=snips(arm) if users else None,
        )
        for place, (arm, (converted, users)) in enumerate(zip(arms, counts, strict=True))
    ]


def wilson(hits: int, n: int) -> Interval:
    """The share ``hits`` / ``n``, n > 0, with Wilson's score interval."""
    p, z2 = hits / n, Z * Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half))


def difference(one: tuple[int, int], other: tuple[int, int]) -> Difference:
    """The share of ``one`` (hits, n) less that of ``other``, n > 0."""
    a, b = wilson(*one), wilson(*other)
    gap = a.value - b.value
    low = gap - math.hypot(a.value - a.low, b.high - b.value)
    high = gap + math.hypot(a.high - a.value, b.value - b.low)
    pooled = (one[0] + other[0]) / (one[1] + other[1])
    error = math.sqrt(pooled * (1 - pooled) * (1 / one[1] + 1 / other[1]))
    return Difference(gap, low, high, math.erfc(abs(gap) / error / math.sqrt(2)) if error else 1.0)


def snips(arm: Exposures) -> Interval:
    """Conversions an exposure, each weighed by 1 / propensity; at least one exposure.

    The interval is that of a ratio of sums over users (linearized): what a user is shown hangs together.
    """
    weight = 1.0 / arm.propensity
    total = float(weight @ arm.shown)
    value = float(weight @ arm.converted) / total
    _, user = np.unique(arm.user, return_inverse=True)
    residuals = np.bincount(user, weight * (arm.converted - value * arm.shown))
    n = len(residuals)
    half = Z * math.sqrt(float(residuals @ residuals) * n / max(n - 1, 1)) / total if n > 1 else math.inf
    return Interval(value, max(0.0, value - half), min(1.0, value + half))


def mismatch(arms: Sequence[Exposures]) -> float | None:
    """The p-value of the arms having as many users as their weights say (chi-square): small means that the division
    or the logging is broken, and no figure can be trusted. None where the weights changed, or there are too few users.
    """
    weights = [np.unique(arm.propensity) for arm in arms]
    users = np.array([_users(arm)[1] for arm in arms], np.float64)
    if len(arms) < 2 or any(len(found) != 1 for found in weights):
        return None
    share = np.array([found[0] for found in weights])
    expected = share / share.sum() * users.sum()
    if expected.min() < 5:
        return None
    return float(chi2.sf(((users - expected) ** 2 / expected).sum(), len(arms) - 1))


def in_several(arms: Sequence[Exposures]) -> int:
    """How many users are in more than one arm, since the weights changed."""
    everybody = np.concatenate([np.unique(arm.user) for arm in arms]) if arms else np.zeros(0)
    return int((np.unique(everybody, return_counts=True)[1] > 1).sum())


def _users(arm: Exposures) -> tuple[int, int]:
    """(users who converted, users)."""
    return len(np.unique(arm.user[arm.converted > 0])), len(np.unique(arm.user))
