"""Run the stages of ``dvc.yaml``.

It alone says what they are, what depends on what, and (``meta``) how patient to be with each.
"""

import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import FAILURE, MAY_PASS, ConfigError, StageError
from pipelines.io import children, dvc_repo, files, receipts
from pipelines.io.dvc_repo import Stage
from pipelines.settings import Settings

log = logging.getLogger(__name__)

LOCK: Final = Path("data/cache/.lock")
DVC_LOCK: Final = Path(".dvc/tmp/lock")
OTHER: Final = "another run in this checkout to end"
SIGNALLED: Final = 128
"""Exit code, less the signal's number, of a program that a signal ended."""

Execute = Callable[[Stage], bool]
"""Brings a stage up to date and returns whether it had to run."""


class Policy(BaseModel):
    """How patient to be with a stage: its ``meta`` in dvc.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retries: int = Field(default=0, ge=0)
    """Further attempts after a failure that may pass."""
    retry_delay_s: float = Field(default=10, ge=0)
    timeout_minutes: float = Field(default=60, gt=0)

    @classmethod
    def of(cls, stage: Stage) -> "Policy":
        """The policy of a stage.

        Raises:
            ConfigError: its meta has an unknown field or a wrong value.
        """
        try:
            return cls(**stage.meta)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ConfigError(f"dvc.yaml: {stage.name}.meta.{field}: {error.errors()[0]['msg']}") from None


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the checkout's lake alone; another run that connects a shop or runs the pipeline is waited for.

    DVC's own lock is waited for too: it may be that of a plain `dvc repro`, or of one whose starter was killed.
    """
    with files.locked(root / LOCK, OTHER):
        if (root / DVC_LOCK).exists():
            with files.locked(root / DVC_LOCK, OTHER):
                pass
        yield


def run(
    settings: Settings, stage: str | None = None, *, leave_out: Collection[str] = (), execute: Execute | None = None
) -> None:
    """Run every stage whose inputs changed, or those that ``stage`` needs and ``stage`` itself, one after another.

    A receipt that no longer tells the truth (a database was emptied, another server is named) goes first, so that
    its stage runs again. The caller holds ``alone``. ``execute`` stands for ``persist``.

    Raises:
        ConfigError: there is no pipeline here, or dvc.yaml is wrong.
        ServiceError: a server that a receipt speaks of doesn't answer.
        StageError: a stage failed; what was done before stays done.
    """
    execute = execute or (lambda one: persist(settings, one))
    started = time.monotonic()
    stages = [one for one in dvc_repo.stages(settings.root, stage) if one.name not in leave_out]
    for one in stages:
        Policy.of(one)  # a mistake in the last one shows before the first one runs
    receipts.drop_stale(settings)
    ran: list[str] = []
    try:
        for one in stages:
            began = time.monotonic()
            if execute(one):
                ran.append(f"{one.name} {time.monotonic() - began:.1f} s")
    except StageError as error:
        names = [one.name for one in stages]
        left = names[names.index(error.stage) + 1 :]
        log.info("ran %s; not run: %s", ", ".join(ran) or "nothing", ", ".join([error.stage, *left]))
        raise
    unchanged = len(stages) - len(ran)
    log.info("ran %s; %d unchanged; %.1f s", ", ".join(ran) or "nothing", unchanged, time.monotonic() - started)


def persist(settings: Settings, stage: Stage) -> bool:
    """Bring a stage up to date, again after each failure that may pass, as its policy says; whether it had to run.

    Raises:
        StageError: it failed for good.
    """
    policy = Policy.of(stage)
    left = policy.retries
    while True:
        try:
            return attempt(settings, stage)
        except StageError as error:
            if not error.may_pass or not left:
                raise
            log.warning("%s; again in %g s (%d more)", error, policy.retry_delay_s, left)
        time.sleep(policy.retry_delay_s)
        left -= 1


def attempt(settings: Settings, stage: Stage, say: Callable[[str], None] | None = None) -> bool:
    """Run a stage once if DVC finds it changed, within its time; returns whether it had to. ``say`` gets its output.

    What may pass: a server that didn't answer (exit code 75), a program that hung, one that a signal ended (the
    system was short of memory). Bad data and a wrong setting fail again: they don't.

    Raises:
        StageError: it failed; the text is what it said.
    """
    root, policy = settings.root, Policy.of(stage)
    if not dvc_repo.changed(root, stage.name):
        return False
    with tempfile.TemporaryDirectory(prefix="recomart-") as folder:
        told = Path(folder) / "reason"
        argv = (sys.executable, "-m", "pipelines.io.dvc_stage", stage.name)
        env = _environment(settings) | {FAILURE: str(told)}
        try:
            code = children.run(argv, cwd=root, env=env, timeout_s=60 * policy.timeout_minutes, say=say)
        except TimeoutError:
            reason = f"took longer than {policy.timeout_minutes:g} minutes (dvc.yaml: meta.timeout_minutes)"
            raise StageError(stage.name, reason, may_pass=True) from None
        if code != 0:
            reason = told.read_text(encoding="utf-8") if told.exists() else ""
            raise StageError(stage.name, reason or _ending(stage, code), _may_pass(code))
    return True


def _may_pass(code: int) -> bool:
    return code == MAY_PASS or (code > SIGNALLED and code != SIGNALLED + signal.SIGINT)


def _ending(stage: Stage, code: int) -> str:
    how = f"signal {code - SIGNALLED}" if code > SIGNALLED else f"exit code {code}"
    return f"ended with {how}: see the lines above and logs/{stage.name}.log"


def _environment(settings: Settings) -> dict[str, str]:
    """The environment with this interpreter's tools first and with the servers that Feast reads."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | settings.exported() | {"PATH": path}
