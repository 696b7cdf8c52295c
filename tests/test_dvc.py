"""dvc.yaml, checked as data."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.__main__ import COMMANDS
from pipelines.flow import Policy
from pipelines.io.dvc_repo import Stage

CHECKOUT = Path(__file__).resolve().parents[1]
STAGES: dict[str, Any] = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def _path(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def _outs(stage: dict[str, Any]) -> list[str]:
    return [_path(out) for kind in ("outs", "metrics") for out in stage.get(kind, [])]


def test_dvc_order_is_the_way_data_goes() -> None:
    order = ["ingest", "validate", "prepare", "features", "publish", "assemble", "train", "evaluate", "register"]
    assert list(STAGES) == order


@pytest.mark.parametrize("name", STAGES)
def test_dvc_stage_runs_its_command(name: str) -> None:
    assert STAGES[name]["cmd"] == f"python -m pipelines {name}"
    assert COMMANDS[name] == f"pipelines.stages.{name}"


@pytest.mark.parametrize("name", STAGES)
def test_dvc_dependency_is_source_or_an_earlier_output(name: str) -> None:
    earlier = list(STAGES)[: list(STAGES).index(name)]
    made = {path for stage in earlier for path in _outs(STAGES[stage])}
    for dep in STAGES[name]["deps"]:
        if dep.startswith("data/"):
            assert any(dep == path or dep.startswith(path + "/") for path in made), f"nothing makes {dep}"
        else:
            assert (CHECKOUT / dep).exists(), f"{dep} does not exist"


@pytest.mark.parametrize("name", STAGES)
def test_dvc_stage_depends_on_its_own_code_and_the_core_it_uses(name: str) -> None:
    own = f"pipelines/stages/{name}.py"
    used = _core_used(CHECKOUT / own) - {"pipelines/core/columns.py", "pipelines/core/errors.py"}
    assert {own} | used <= set(STAGES[name]["deps"])


@pytest.mark.parametrize("name", STAGES)
def test_dvc_stage_says_how_patient_to_be_with_it(name: str) -> None:
    assert {"retries", "timeout_minutes"} <= set(STAGES[name]["meta"])
    Policy.of(Stage(name, STAGES[name]["meta"]))


def _core_used(path: Path) -> set[str]:
    """The modules of the core that a file imports, and those that they import."""
    found: set[str] = set()
    todo = [path]
    while todo:
        for node in ast.walk(ast.parse(todo.pop().read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                for module in [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]:
                    file = module.replace(".", "/") + ".py"
                    if file.startswith("pipelines/core/") and (CHECKOUT / file).exists() and file not in found:
                        found.add(file)
                        todo.append(CHECKOUT / file)
    return found
