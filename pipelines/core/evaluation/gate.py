"""The gate that a model passes before the service runs it.

What it goes by is the evaluation on the newest window: the difference of NDCG@10 between a model and another on the
same users, with a 95 % interval from a paired bootstrap.

- It must beat recent popularity: the interval lies above zero.
- A model of **another configuration** than the champion's (other hyperparameters, sources, features or code) must beat
  the champion in the same way.
- A model of **the champion's own configuration**, fitted to data at least as new, is a retrain. It replaces the
  champion unless it is significantly worse. It can't be asked to beat it: the same configuration doesn't beat itself,
  and a champion that only a better idea could replace would go on knowing nothing of new users, items and tastes.
- Where the champion can't be compared, since it has seen the window, a retrain is taken on its configuration's record
  and another configuration is not: it hasn't shown that it is better.
- Where there is no champion, the model becomes it even without beating popularity: the service needs one to run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

BASELINE: Final = "popularity"
CHAMPION: Final = "champion"
NOT_COMPARED: Final = "champion_not_compared"
"""Keys of the verdicts: two models, and why the second couldn't be compared."""


@dataclass(frozen=True)
class Entrant:
    """A model as the gate sees it."""

    version: int | None
    """Its number in the registry, None before it is registered."""
    configuration: str
    """Names everything but the data that the model is made of; empty where that wasn't recorded."""
    cut: datetime
    """What it learned from ends here."""

    def retrains(self, champion: "Entrant") -> bool:
        """Whether it is the champion's configuration on data at least as new."""
        return bool(self.configuration) and self.configuration == champion.configuration and self.cut >= champion.cut


@dataclass(frozen=True)
class Decision:
    """Whether a model becomes champion, and why in plain words."""

    promoted: bool
    reasons: tuple[str, ...]
    doubtful: bool = False
    """Promoted only because the service would have nothing to run."""


def decide(verdicts: Mapping[str, Any], entrant: Entrant, champion: Entrant | None) -> Decision:
    """The decision about ``entrant``, who isn't the champion.

    ``verdicts``: other model -> ``difference`` of NDCG@10 (ours less theirs) with the bounds ``low`` and ``high``.
    Under ``champion`` the champion's, with its ``version`` where that is known; else ``champion_not_compared`` says
    why not.
    """
    popular = verdicts[BASELINE]
    beaten = popular["low"] > 0
    reasons = [f"{'beats' if beaten else 'does not beat'} popularity: {_words(popular)}"]
    if champion is None:
        reasons.append("there was no champion" + ("" if beaten else ", and the service needs a model to run"))
        return Decision(True, tuple(reasons), doubtful=not beaten)
    if not beaten:
        return Decision(False, (*reasons, f"version {champion.version} stays champion"))
    promoted, reason = _against(champion, entrant, verdicts)
    return Decision(promoted, (*reasons, reason))


def _against(champion: Entrant, entrant: Entrant, verdicts: Mapping[str, Any]) -> tuple[bool, str]:
    verdict, retrain = verdicts.get(CHAMPION), entrant.retrains(champion)
    name = f"the champion, version {champion.version}"
    if verdict is None or verdict.get("version", champion.version) != champion.version:
        why = verdicts.get(NOT_COMPARED) or "the evaluation knew another champion: evaluate again"
        if retrain:
            return True, f"the configuration of {name}, on newer data; the two could not be compared ({why})"
        return False, f"of another configuration than {name}, with which it could not be compared ({why})"
    if verdict["low"] > 0:
        return True, f"beats {name}: {_words(verdict)}"
    if verdict["high"] < 0:
        return False, f"is worse than {name}: {_words(verdict)}"
    if retrain:
        return True, f"the configuration of {name}, on newer data, and not worse than it: {_words(verdict)}"
    return False, f"of another configuration than {name}, and does not certainly beat it: {_words(verdict)}"


def _words(verdict: Mapping[str, Any]) -> str:
    return f"NDCG@10 {verdict['difference']:+.4f} (95 % interval {verdict['low']:+.4f} to {verdict['high']:+.4f})"
