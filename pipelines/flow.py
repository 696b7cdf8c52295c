"""Run the stages of ``dvc.yaml``: it alone says what they are and what depends on what."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipelines.core.errors import ConfigError, ServiceError
from pipelines.io import files, receipts
from pipelines.settings import Settings

log = logging.getLogger(__name__)

LOCK: Final = Path("data/cache/.lock")
DVC_LOCK: Final = Path(".dvc/tmp/lock")
OTHER: Final = "another run in this checkout to end"


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


def run(settings: Settings, stage: str | None = None) -> None:
    """Run every stage whose inputs changed, or those that ``stage`` needs and ``stage`` itself.

    A receipt that no longer tells the truth (a database was emptied, another server is named) goes first, so that
    its stage runs again. The caller holds ``alone``.

    Raises:
        ConfigError: there is no pipeline here.
        ServiceError: a stage failed; it has said why.
    """
    if not ((settings.root / "dvc.yaml").exists() and (settings.root / ".dvc").is_dir()):
        raise ConfigError(f"{settings.root} holds no dvc.yaml and .dvc: run this in the checkout")
    receipts.drop_stale(settings)
    _without_git(settings.root)
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", *([stage] if stage else [])]
    done = subprocess.run(command, cwd=settings.root, env=_environment(settings), check=False)
    if done.returncode != 0:
        raise ServiceError(f"the pipeline stopped (dvc exit code {done.returncode}): see the line above and logs/")


def _environment(settings: Settings) -> dict[str, str]:
    """The environment with this interpreter's tools first and with the servers that Feast reads."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | settings.exported() | {"PATH": path}


def _without_git(root: Path) -> None:
    """Let DVC work in an unpacked archive: it wants a Git repository unless told otherwise."""
    local = root / ".dvc" / "config.local"
    if not (root / ".git").exists() and not local.exists():
        log.info("no .git here: DVC runs without version control")
        local.write_text("[core]\n    no_scm = true\n", encoding="utf-8")
