"""Name a model's configuration: all that it is made of but the data. By it the gate tells a retrain from a change."""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

LEARNING: Final = ("assemble", "train")
"""Stages whose code decides what a model learns."""


def name(root: Path, manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the hyperparameters and the code that a bundle with this manifest is made of.

    How a model is evaluated doesn't make it another one.
    """
    params = {name: value for name, value in manifest["params"].items() if name != "evaluation"}
    parts = [json.dumps([params, manifest["features"], list(manifest["sources"])], sort_keys=True)]
    parts += [f"{path.relative_to(root)} {_meaning(path)}" for path in _learning(root)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _learning(root: Path) -> Iterator[Path]:
    """The modules that the stages of learning depend on, as dvc.yaml says; none without one."""
    if not (root / "dvc.yaml").exists():
        return
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    deps = {root / dep for stage in LEARNING for dep in stages[stage]["deps"] if dep.startswith("pipelines/")}
    yield from sorted(path for dep in deps for path in ([dep] if dep.is_file() else dep.rglob("*.py")))


def _meaning(path: Path) -> str:
    """What a module does, without its comments and layout: a better explained model is the same model."""
    return hashlib.sha256(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))).encode()).hexdigest()
