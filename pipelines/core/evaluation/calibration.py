"""Whether a higher score means a better chance: the rate of hits by deciles of the score."""

from dataclasses import dataclass

import numpy as np

PARTS = 10
Z = 1.96
"""Standard deviations of a 95 % interval."""


@dataclass(frozen=True)
class Deciles:
    """Candidates in parts of equal size, the lowest scores first; each [parts]."""

    score: np.ndarray
    """The part's mean score."""
    rate: np.ndarray
    """The share of its candidates that the user turned to in the window."""
    low: np.ndarray
    """Bounds of the rate's 95 % interval (Wilson 1927)."""
    high: np.ndarray


def deciles(scores: np.ndarray, hits: np.ndarray) -> Deciles:
    """Of the candidates of all users, ``scores`` float [n] and ``hits`` bool [n]; fewer parts where n is below ten."""
    order = np.argsort(scores, kind="stable")
    bounds = np.linspace(0, len(order), min(PARTS, len(order)) + 1).astype(int)
    sizes = np.diff(bounds).astype(float)
    mean = np.add.reduceat(scores[order].astype(float), bounds[:-1]) / sizes
    rate = np.add.reduceat(hits[order].astype(float), bounds[:-1]) / sizes
    middle = (rate + Z**2 / (2 * sizes)) / (1 + Z**2 / sizes)
    half = Z * np.sqrt(rate * (1 - rate) / sizes + (Z / (2 * sizes)) ** 2) / (1 + Z**2 / sizes)
    return Deciles(mean, rate, np.maximum(middle - half, 0.0), middle + half)
