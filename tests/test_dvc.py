"""dvc.yaml, checked as data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.__main__ import COMMANDS

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
def test_dvc_stage_depends_on_its_own_code(name: str) -> None:
    assert f"pipelines/stages/{name}.py" in STAGES[name]["deps"]
