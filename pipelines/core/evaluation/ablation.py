"""What each part adds: from the best source alone over the sources merged to a ranker that reads more and more.

Each step has all the inputs of the one before and one group more; the group of a feature is the view that it comes
from. What a step gains depends on what came before it: a feature that tells what another told already gains nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipelines.core.models import ranking, signals
from pipelines.core.models.ranker_inputs import Reads, reads
from pipelines.core.models.ranking import Ranker

FUSION: Final = 60
COARSER: Final = 3
"""The trees of the steps cost so many times less than the model's, each."""
SIGNALS: Final = {"signals of items": signals.ITEM, "signals of users": signals.USER, "signals of pairs": signals.PAIR}


@dataclass(frozen=True)
class Step:
    """A ranker's inputs, in the order of ``ranking.input_names``."""

    name: str
    inputs: tuple[str, ...]
    trees: bool = True
    """Else the ranker is the blend alone."""


def steps(sources: Sequence[str], service: str) -> list[Step]:
    """The blend of the sources, then trees, each with one group of inputs more than before; the last one has all."""
    names = ranking.input_names(sources, service)
    groups = {**SIGNALS, **_by_view(reads(service))}
    later = {name for group in groups.values() for name in group}
    read = {name for name in names if name not in later}
    found = [
        Step("sources blended by learned weights", tuple(f"{name}_rank" for name in sources), trees=False),
        Step("trees on the sources", tuple(name for name in names if name in read)),
    ]
    for group, members in groups.items():
        read |= set(members)
        found.append(Step(f"+ {group}", tuple(name for name in names if name in read)))
    return found


def coarse(options: Mapping[str, Any], ranker: Ranker | None) -> dict[str, Any]:
    """Settings for the trees of the steps: COARSER times fewer than the model has, which learn as much faster."""
    trees = ranker.trees.count if ranker and ranker.trees else options["trees"]
    faster = min(1.0, COARSER * options["learning_rate"])
    return {**options, "trees": max(1, trees // COARSER), "learning_rate": faster}


def fused(ranks: np.ndarray) -> np.ndarray:
    """float32 [n]: the sources merged without learning, Σ 1 / (60 + place) over the sources that rank a candidate.

    Reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009). ``ranks``: [n, S], 0 is best, NaN where a source
    says nothing.
    """
    total: np.ndarray = np.nansum(1.0 / (FUSION + 1 + ranks), axis=1)
    return total.astype(np.float32)


def predictions(
    trained: Mapping[str, tuple[Step, Any]], names: Sequence[str], inputs: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """(step, float32 [n]) for each trained step; ``inputs``: float32 [n, len(names)]."""
    for name, (step, ranker) in trained.items():
        yield name, ranking.predict(ranker, inputs[:, [names.index(column) for column in step.inputs]])


def _by_view(read: Reads) -> dict[str, list[str]]:
    """Feature view -> the inputs that it completes: what is derived of several belongs to the last one of them."""
    views = list(dict.fromkeys(_view(name) for name in read.required))
    needs = {name: {name} for name in read.plain}
    needs |= {age: {epoch} for age, epoch in read.ages.items()}
    needs |= {name: set(derived.reads) for name, derived in read.derived.items()}
    last = {name: max(views.index(_view(feature)) for feature in features) for name, features in needs.items()}
    return {view: [name for name in needs if last[name] == place] for place, view in enumerate(views)}


def _view(feature: str) -> str:
    return feature.partition("__")[0]
