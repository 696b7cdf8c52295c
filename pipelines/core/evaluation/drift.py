"""How far the values that a model reads have moved since it was trained.

For each input the population stability index, PSI = Σ (a − b)·ln(a / b) over bins, b and a being the bin's shares at
training and now (N. Siddiqi, Credit Risk Scorecards, 2006): below 0.1 nothing has changed, above 0.25 much has. Bins
are tenths of the training values; missing is a bin of its own, so that a feature that is no longer filled drifts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.core.lake.newest_day import psi, psi_by_chance

BINS: Final = 10
MUCH: Final = 0.25


@dataclass(frozen=True)
class InputDrift:
    """One input of the ranker at training and now.

    ``chance``: what the index exceeds once in a thousand samples of this size where nothing has changed. ``nulls`` are
    shares and ``medians`` values, both (at training, now); a median is NaN where there is no value.
    """

    psi: float
    chance: float
    nulls: tuple[float, float]
    medians: tuple[float, float]

    def is_much(self, threshold: float = MUCH) -> bool:
        """Whether it has moved further than ``threshold``, and further than chance explains."""
        return self.psi > max(threshold, self.chance)


def edges(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """float64 [at most bins - 1], ascending: the inner quantiles of the values that there are; fewer where they tie."""
    there = values[np.isfinite(values)]
    return np.unique(np.quantile(there, np.linspace(0, 1, bins + 1)[1:-1], method="lower")) if len(there) else there


def histogram(values: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """int64 [len(inner) + 2]: how many values lie up to each edge and above the last, and last how many are missing."""
    there = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(inner, there, side="left"), minlength=len(inner) + 1)
    return np.append(counts, len(values) - len(there))


def drift(before: np.ndarray, after: np.ndarray) -> InputDrift:
    """The drift of an input from its values at training to those of now, both float64 with NaN where missing."""
    inner = edges(before)
    counts = [histogram(values, inner) for values in (before, after)]
    used = int(np.count_nonzero(counts[0] + counts[1]))
    return InputDrift(
        psi=psi(*counts),
        chance=psi_by_chance(max(used, 2), len(before), len(after)),
        nulls=(counts[0][-1] / len(before), counts[1][-1] / len(after)),
        medians=(_median(before), _median(after)),
    )


def drifts(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, InputDrift]:
    """Input → its drift, the largest first."""
    found = {name: drift(values, after[name]) for name, values in before.items()}
    return dict(sorted(found.items(), key=lambda pair: -pair[1].psi))


def _median(values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(np.median(there)) if len(there) else float("nan")
