"""Which version the service runs: the aliases champion, challenger and previous, and the way back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pipelines.core.errors import ModelError
from pipelines.core.evaluation.gate import Decision
from pipelines.io import mlflow_runs
from pipelines.io.models.registry import CHALLENGER, CHAMPION, NAME, PREVIOUS, Known

GATE: Final = "gate"
"""Tag of a version: what the gate said of it, one reason a line."""
ROLLED_BACK: Final = "rolled_back"
"""Tag of a version that was champion: when, by whom and to what was gone back."""
RESTORED: Final = "restored"
"""Tag of a version that was gone back to, likewise."""


@dataclass(frozen=True)
class Way:
    """From which champion to which version a rollback goes."""

    champion: Known
    target: Known

    @property
    def done(self) -> bool:
        """Whether it was gone already."""
        return self.champion.number == self.target.number


def holder(versions: list[Known], alias: str) -> Known | None:
    """The version that an alias names."""
    return next((version for version in versions if alias in version.aliases), None)


def settle(tracking_uri: str, version: int, decision: Decision, description: str) -> None:
    """Carry out the gate's decision: the version becomes champion or challenger, and keeps why.

    The champion before it is remembered first, so that there is a way back at every moment.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    with mlflow_runs.client_of(tracking_uri) as client:
        client.update_model_version(NAME, str(version), description=description)
        client.set_model_version_tag(NAME, str(version), GATE, "\n".join(decision.reasons))
        aliases = {alias: int(number) for alias, number in client.get_registered_model(NAME).aliases.items()}
        if not decision.promoted:
            client.set_registered_model_alias(NAME, CHALLENGER, str(version))
        elif aliases.get(CHAMPION) != version:
            if CHAMPION in aliases:
                client.set_registered_model_alias(NAME, PREVIOUS, str(aliases[CHAMPION]))
            client.set_registered_model_alias(NAME, CHAMPION, str(version))
            _forget(client, aliases, CHALLENGER, version)


def way_back(versions: list[Known], wanted: Known | None) -> Way:
    """Where a rollback leads: to ``wanted``, else to the champion before the last promotion.

    Once gone, the way is done: going it again changes nothing, since two people may be at it in the same alarm.

    Raises:
        ModelError: there is no champion, or none before it.
    """
    champion = holder(versions, CHAMPION)
    if champion is None:
        raise ModelError("there is no champion to roll back: run `make pipeline`")
    if wanted is not None:
        return Way(champion, wanted)
    previous = holder(versions, PREVIOUS)
    if previous is None and RESTORED in champion.tags:
        return Way(champion, champion)
    if previous is None:
        others = ", ".join(str(version.number) for version in versions if version != champion)
        raise ModelError(
            f"version {champion.number} is the first champion, there is none to go back to: "
            + (f"name a version with --to ({others})" if others else "it is the only version")
        )
    return Way(champion, previous)


def go_back(tracking_uri: str, way: Way, who: str, when: datetime) -> None:
    """Note in both who does it and when, and let the target be champion in the champion's place.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    left, restored = str(way.champion.number), str(way.target.number)
    note = f"{when.isoformat(timespec='seconds')} by {who}"
    with mlflow_runs.client_of(tracking_uri) as client:
        aliases = {alias: int(number) for alias, number in client.get_registered_model(NAME).aliases.items()}
        client.set_model_version_tag(NAME, left, ROLLED_BACK, f"{note}, to version {restored}")
        client.set_model_version_tag(NAME, restored, RESTORED, f"{note}, from version {left}")
        if ROLLED_BACK in way.target.tags:  # it was left once and is wanted again
            client.delete_model_version_tag(NAME, restored, ROLLED_BACK)
        client.set_registered_model_alias(NAME, CHAMPION, restored)
        if PREVIOUS in aliases:
            client.delete_registered_model_alias(NAME, PREVIOUS)
        _forget(client, aliases, CHALLENGER, way.target.number)


def _forget(client: Any, aliases: Mapping[str, int], alias: str, version: int) -> None:
    if aliases.get(alias) == version:
        client.delete_registered_model_alias(NAME, alias)
