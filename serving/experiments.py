"""Which model answers whom, by the plan of experiments and the models that are there."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.io.live.experiment_plan import PlanFile
from serving.keeper import CHAMPION, Keeper
from serving.problems import Unavailable
from serving.snapshot import Snapshot


@dataclass(frozen=True)
class Assignment:
    """The model that answers a request, and why: the user's arm, or none."""

    snapshot: Snapshot
    experiment: str | None = None
    arm: str | None = None
    propensity: float = 1.0
    """The probability with which the user got this arm."""


class Experiments:
    """Assigns users to arms. Nobody is counted in an arm whose model could not answer."""

    def __init__(self, file: PlanFile, keeper: Keeper) -> None:
        self._file = file
        self._keeper = keeper

    @property
    def errors(self) -> Mapping[str, str]:
        """What stands in the way of the plan: of its file, and of each model that isn't there."""
        of_file = {"file": self._file.error} if self._file.error else {}
        return {**self._keeper.errors, **of_file}

    def assign(self, user_id: str | None) -> Assignment:
        """The user's assignment now; a session without a user gets the champion.

        Raises:
            Unavailable: there is no model yet.
        """
        held = self._keeper.held  # looked at once: a swap may come at any time
        champion = held.get(CHAMPION)
        if champion is None:
            raise Unavailable(f"no model to answer with: {self._keeper.model_error}")
        now = time.time()
        for experiment in self._file.plan.experiments if user_id is not None else ():
            if experiment.runs(now) and (arm := experiment.arm_of(str(user_id))):
                snapshot = held.get(arm.model)
                if snapshot is None:
                    break
                return Assignment(snapshot, experiment.name, arm.name, arm.weight)
        return Assignment(champion)

    def shadow(self) -> tuple[Snapshot, float] | None:
        """The model to score beside the one that answers, and for which share of the requests; None where none is."""
        shadow = self._file.plan.shadow
        snapshot = self._keeper.held.get(shadow.model) if shadow else None
        return (snapshot, shadow.share) if shadow and snapshot else None
