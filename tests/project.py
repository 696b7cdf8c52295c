"""A small DVC project of a test's own: real DVC, real processes, trivial stages."""

import shutil
from pathlib import Path

import yaml

from pipelines.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[1]
NAMED = {"POSTGRES_HOST": "nobody.invalid", "REDIS_URL": "redis://nobody.invalid"}
"""Servers that no trivial stage asks."""

Stages = dict[str, dict[str, object]]


def project(root: Path, stages: Stages, **environ: str) -> Settings:
    """Lay out ``dvc.yaml`` and this checkout's DVC configuration; returns the settings."""
    (root / ".dvc").mkdir(parents=True, exist_ok=True)
    for name in ("config", ".gitignore"):
        shutil.copy(CHECKOUT / ".dvc" / name, root / ".dvc" / name)
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    return Settings.load(root, NAMED | environ)


def chain(*names: str, **changed: dict[str, object]) -> Stages:
    """Stages that copy ``in.txt`` to ``<first>.txt``, that to ``<second>.txt`` and so on, and note each run in ``ran``.

    ``changed`` replaces fields of single stages.
    """
    stages: Stages = {}
    for before, name in zip(("in", *names), names, strict=False):
        copy = f"echo {name} >> ran && cp {before}.txt {name}.txt"
        stages[name] = {"cmd": copy, "deps": [f"{before}.txt"], "outs": [f"{name}.txt"]} | changed.get(name, {})
    return stages


def ran(root: Path) -> list[str]:
    """The names of the stages that ran, in order."""
    return (root / "ran").read_text().split() if (root / "ran").exists() else []
