"""What DVC knows of the pipeline: its stages in order, their ``meta``, and whether one has to run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml, with what stands under its ``meta``."""

    name: str
    meta: dict[str, Any]


def stages(root: Path, target: str | None = None) -> list[Stage]:
    """Every stage, or those that ``target`` needs and itself, in the order in which `dvc repro` takes them.

    Raises:
        ConfigError: dvc.yaml can't be read, or has no stage ``target``.
    """
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
    from dvc.stage import PipelineStage

    with _opened(root) as repo:
        asked = collect_stages(repo, [_address(root, target)])
        plan = plan_repro(get_active_graph(repo.index.graph), asked)
        return [Stage(stage.name, dict(stage.meta or {})) for stage in plan if isinstance(stage, PipelineStage)]


def changed(root: Path, name: str) -> bool:
    """Whether `dvc repro` would run the stage ``name``: by its command, inputs, parameters and outputs.

    Raises:
        ConfigError: dvc.yaml can't be read.
    """
    with _opened(root) as repo, repo.lock:
        (stage,) = repo.stage.collect(_address(root, name))
        return bool(stage.changed())


def commit(root: Path, name: str) -> None:
    """Enter the outputs of the stage ``name`` in dvc.lock and the cache as they are now, without running it.

    Raises:
        ConfigError: dvc.yaml can't be read.
    """
    with _opened(root) as repo:
        repo.commit(_address(root, name), force=True)


def differences(root: Path, running: str) -> dict[str, list[str]]:
    """Stage -> how its command, inputs and outputs differ from dvc.lock; without the stage ``running``, which asks.

    Raises:
        ConfigError: dvc.yaml can't be read.
    """
    found: dict[str, list[str]] = {}
    with _opened(root) as repo, repo.lock:  # DVC lets go of it while it waits for a stage
        for stage in repo.stage.collect(_address(root)):
            if stage.name != running and (told := _told(stage.status().get(stage.addressing, []))):
                found[stage.name] = told
    return found


def _told(status: list[Any]) -> list[str]:
    """DVC's status of a stage, flat: ``changed deps: data/raw modified``."""
    flat = [
        f"{what}: {path} {how}"
        for one in status
        if isinstance(one, dict)
        for what, paths in one.items()
        for path, how in paths.items()
    ]
    return flat + [one for one in status if isinstance(one, str) and one != "always changed"]


def _address(root: Path, name: str | None = None) -> str:
    """How DVC names a stage, or all of them, from any working directory."""
    return f"{root / 'dvc.yaml'}:{name}" if name else str(root / "dvc.yaml")


@contextmanager
def _opened(root: Path) -> Iterator[Any]:
    """DVC's repository; its errors become ours."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not ((root / "dvc.yaml").exists() and (root / ".dvc").is_dir()):
        raise ConfigError(f"{root} holds no dvc.yaml and .dvc: run this in the checkout")
    _without_git(root)
    logging.getLogger("dvc").setLevel(logging.ERROR)  # it warns of locks that killed runs left, and clears them
    try:
        with Repo(str(root)) as repo:
            yield repo
    except DvcException as error:
        raise ConfigError(f"DVC: {str(error).strip()}") from error


def _without_git(root: Path) -> None:
    """Let DVC work in an unpacked archive: it wants a Git repository unless told otherwise."""
    local = root / ".dvc" / "config.local"
    said = local.read_text(encoding="utf-8") if local.exists() else ""
    if not (root / ".git").exists() and "no_scm" not in said:
        log.info("no .git here: DVC runs without version control")
        local.write_text(f"{said}[core]\n    no_scm = true\n", encoding="utf-8")
