"""How the champion is compared on the newest window without it having seen that window.

The champion that the service runs knows everything up to its own training, often the evaluation window too. So it
isn't that bundle which is measured: its sources are fitted again to what lies before the cut, by its own settings. Its
ranker goes with them, if the newest label that it learned from lies before the cut as well; otherwise there is no fair
comparison.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from pipelines.core.errors import ModelError
from pipelines.core.models import ranking
from pipelines.core.models.sources import SOURCES

Manifest = Mapping[str, Any]

LEARNED_UNTIL: Final = "learned_until"
"""In a manifest: where the newest label window that the ranker learned from ends (ISO 8601, UTC)."""
PROPOSING: Final = ("seed", "event_weights", "candidates")
"""Hyperparameters that decide what is proposed, beside the label window."""


@dataclass(frozen=True)
class Way:
    """How to compare."""

    same_candidates: bool
    """Both propose the same before the cut, and read the same of it."""


@dataclass(frozen=True)
class Compared:
    """The champion's version and lists, or why there are none; all None where there is no champion."""

    version: int | None = None
    lists: np.ndarray | None = None
    """int32 [users, k]: positions among the items of the model that it is compared with."""
    why_not: str | None = None


def way(champion: Manifest, ours: Manifest) -> Way | str:
    """How a champion can be compared with the model of the manifest ``ours``; or why not.

    The window that both are compared on begins at the cut of ``ours``.
    """
    if why := _unreadable(champion):
        return why
    # without a record of where its labels end, a ranker may have learned from all that its bundle knows
    until = datetime.fromisoformat(champion.get(LEARNED_UNTIL, champion["cut"]))
    if until > datetime.fromisoformat(ours["cut"]):
        return f"its ranker may have learned from events up to {until.date()}, after the window began"
    return Way(same_candidates=_proposal(champion) == _proposal(ours))


def _proposal(manifest: Manifest) -> tuple[Any, ...]:
    params = manifest["params"]
    read = (list(manifest["sources"]), manifest["feature_service"], list(manifest["features"]))
    return (*read, *(params[name] for name in PROPOSING), params["split"]["window_days"])


def _unreadable(champion: Manifest) -> str | None:
    """Why this version of RecoMart can't score with the champion's ranker."""
    unknown = [name for name in champion["sources"] if name not in SOURCES]
    if unknown:
        return f"this version of RecoMart has no source {', '.join(unknown)}"
    try:
        names = ranking.input_names(champion["sources"], champion["feature_service"])
    except ModelError as error:
        return str(error)
    return None if names == list(champion["features"]) else "this version of RecoMart gives a ranker other inputs"
