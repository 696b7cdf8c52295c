"""What a model for any log practises on: windows before the cutoff, and what their users gained in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models import ranking, selection, signals
from pipelines.core.models.bundle import FORMAT, Bundle
from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.sources import fit_all
from pipelines.core.models.split import strongest

MAX_CUTS: Final = 6
OLDEST_SHARE: Final = 0.2
"""A cut has at least this share of the interactions before it."""


@dataclass(frozen=True)
class Lesson:
    """Something to practise on: ``later`` is to be predicted at ``at`` (epoch seconds) from what is ``known`` then."""

    known: Interactions
    at: float
    later: Interactions


@dataclass(frozen=True)
class Problem:
    """What is asked for: ``window`` (seconds) after a cut is to be predicted from what lies before it."""

    log: Interactions
    window: float
    catalogue: Catalogue
    options: Mapping[str, Any]
    seed: int

    def past(self, known: Interactions, at: float) -> Past:
        """What is ``known`` at ``at`` (epoch seconds)."""
        return Past(known, at, self.catalogue, self.seed)

    def bundle(self, known: Interactions, at: float) -> Bundle:
        """A bundle that proposes from what is ``known`` at ``at`` (epoch seconds)."""
        past = self.past(known, at)
        fitted = fit_all(past, self.options["candidates"])
        manifest = {
            "format": FORMAT,
            "feature_service": None,
            "features": ranking.input_names(list(fitted), None),
            "sources": list(fitted),
            "cut": at,
            "params": dict(self.options),
        }
        item_signals = signals.fit(past, self.window / SECONDS_A_DAY)
        return Bundle(manifest, self.log.user_ids, self.log.item_ids, past.histories, fitted, item_signals, None)


def windows(problem: Problem, cutoff: float) -> Iterator[Lesson]:
    """The windows before the cutoff, the newest first, as long as enough lies before them."""
    for n in range(1, MAX_CUTS + 1):
        cut = cutoff - n * problem.window
        known = problem.log.before(cut)
        if len(known.weight) < OLDEST_SHARE * len(problem.log.weight):
            return
        yield Lesson(known, cut, problem.log.between(cut, cut + problem.window))


def too_few(problem: Problem, lessons: Sequence[Lesson]) -> bool:
    """Whether nothing can be chosen by the users of all lessons together."""
    users = 0
    for lesson in lessons:
        users += len(gaining(problem.past(lesson.known, lesson.at), lesson)[0])
        if users >= selection.FEW_USERS:
            return False
    return True


def gaining(past: Past, lesson: Lesson) -> tuple[np.ndarray, csr_matrix]:
    """(users that gain something, what all users gain)."""
    gains = gained(past.histories, lesson.later, past.n_items)
    return np.flatnonzero(np.diff(gains.indptr)), gains


def gained(histories: Histories, later: Interactions, n_items: int) -> csr_matrix:
    """CSR float64 [users, items]: what users with a history gain in ``later`` from items that they hadn't met."""
    known = np.diff(histories.indptr)[later.user_idx] > 0
    events = (later.user_idx[known], later.item_idx[known], later.weight[known])
    return strongest(histories, *events, n_items=n_items, repeats=False)
