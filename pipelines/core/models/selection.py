"""How much of a ranker the data bear: chosen on the newest training cut, after learning from the older ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipelines.core.models import blend, metrics, ranking
from pipelines.core.models.ranking import Ranker

K: Final = 20
"""Cut-off of the NDCG that decides: longer than what people see, since it is less at the mercy of chance."""
STEPS: Final = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Shares of the trees that are tried."""
FEW_USERS: Final = 30
"""With fewer users to learn from nothing can be chosen."""
SAFE: Final = "popularity"
"""What is left then."""
DOUBT_OF_TREES: Final = 0.5
"""Standard errors by which trees must beat the blend."""
DOUBT_OF_ONE: Final = 1.0
"""Standard errors by which one source must beat the rest: of many sources one is always lucky."""


@dataclass(frozen=True)
class Rows:
    """Candidates to learn from or to check on."""

    inputs: np.ndarray
    """float32 [n, inputs]."""
    labels: np.ndarray
    """float32 [n], 0 where nothing came of it."""
    group: np.ndarray
    """int [n], ascending: a user at a cut."""

    @classmethod
    def join(cls, parts: Sequence["Rows"]) -> "Rows":
        """All rows of at least one part, in the order of their groups."""
        ordered = sorted(parts, key=lambda part: int(part.group[0]) if len(part.group) else -1)
        names = ("inputs", "labels", "group")
        return cls(*(np.concatenate([getattr(part, name) for part in ordered]) for name in names))

    def where(self, wanted: np.ndarray) -> "Rows":
        """The rows where ``wanted`` bool [n]."""
        return Rows(self.inputs[wanted], self.labels[wanted], self.group[wanted])


@dataclass(frozen=True)
class Choice:
    """What to fit, and what it was chosen by."""

    trees: int
    """0: the blend alone, or one source."""
    source: str | None
    """One source alone; None for a blend of all."""
    measured: Mapping[str, float]
    """What was tried -> NDCG@K on the newest training cut."""
    users: int
    """Users that it was measured on."""

    def __str__(self) -> str:
        return self.source or (f"{self.trees} trees" if self.trees else "the blend of all sources")


def decide(
    older: Rows, newest: Rows, check: Rows, names: Sequence[str], options: Mapping[str, Any], seed: int
) -> Choice:
    """``choose`` on ``check``, all candidates of ``newest``; with one cut only, on half of its users from the others.

    With a handful of users nothing is chosen: what is popular can't be far wrong.
    """
    if _users(older) + _users(newest) < FEW_USERS:
        return Choice(0, SAFE, {}, 0)
    if _users(older) < FEW_USERS:
        older, check = newest.where(newest.group % 2 == 0), check.where(check.group % 2 == 1)
    return choose(older, check, names, options, seed)


def choose(older: Rows, newest: Rows, names: Sequence[str], options: Mapping[str, Any], seed: int) -> Choice:
    """Of each source alone, their blend, and the blend with more and more trees, the best on ``newest``.

    The blend stands unless another is clearly better: it is an average of many, and safe.
    """
    ranker = ranking.train(older.inputs, older.labels, older.group, names, options, seed)
    tried = {name: -_column(newest, names, f"{name}_rank") for name in ranker.blend}
    tried["blend"] = ranker.margin(newest.inputs)
    steps = sorted({max(1, round(step * options["trees"])) for step in STEPS}) if ranker.trees else []
    tried |= {f"{trees} trees": ranking.predict(ranker, newest.inputs, trees) for trees in steps}
    each = {name: ndcg(scores, newest) for name, scores in tried.items()}
    mean = {name: float(values.mean()) for name, values in each.items()}
    best = max(steps, key=lambda trees: mean[f"{trees} trees"], default=0)
    if not best or not _clearly(each[f"{best} trees"], each["blend"], DOUBT_OF_TREES):
        best = 0
    single = max(ranker.blend, key=lambda name: mean[name])
    alone = _clearly(each[single], each[f"{best} trees" if best else "blend"], DOUBT_OF_ONE)
    return Choice(0 if alone else best, single if alone else None, mean, len(each["blend"]))


def _clearly(one: np.ndarray, other: np.ndarray, doubt: float) -> bool:
    """Whether the mean of ``one`` [users] is above that of ``other`` by more than ``doubt`` standard errors."""
    gap = one - other
    return len(gap) > 1 and bool(gap.mean() > doubt * gap.std(ddof=1) / np.sqrt(len(gap)))


def fit(rows: Rows, choice: Choice, names: Sequence[str], options: Mapping[str, Any], seed: int) -> Ranker:
    """The ranker that was chosen, from all ``rows``."""
    if choice.source is not None:
        return alone(choice.source, names)
    return ranking.train(rows.inputs, rows.labels, rows.group, names, {**options, "trees": choice.trees}, seed)


def alone(source: str, names: Sequence[str]) -> Ranker:
    """Candidates in the order of one source; the others break ties."""
    ranked = [name.removesuffix("_rank") for name in names if name.endswith("_rank")]
    return Ranker(tuple(names), {name: 1.0 if name == source else blend.LEAST for name in ranked}, None)


def ndcg(scores: np.ndarray, rows: Rows) -> np.ndarray:
    """float64 [groups with a positive row]: NDCG@K of the rows in the order of ``scores`` [n]; NaN is last."""
    _, user = np.unique(rows.group, return_inverse=True)
    return metrics.ndcg_of_each(scores, rows.labels > 0, user, K)


def _users(rows: Rows) -> int:
    return len(np.unique(rows.group))


def _column(rows: Rows, names: Sequence[str], name: str) -> np.ndarray:
    return rows.inputs[:, names.index(name)]
