from pathlib import Path
from typing import Any

import pytest

from pipelines.io.files import write_text
from pipelines.io.models import configuration

MANIFEST = {"features": ["svd_rank"], "sources": ["svd"], "params": {"seed": 7, "evaluation": {"k": [10]}}}
DVC = """\
stages:
  assemble: {cmd: a, deps: [data/x, pipelines/core/one.py]}
  train: {cmd: b, deps: [pipelines/core/folder]}
  evaluate: {cmd: c, deps: [pipelines/core/other.py]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_text(tmp_path / "dvc.yaml", DVC)
    for name in ("one", "folder/two", "other"):
        write_text(tmp_path / f"pipelines/core/{name}.py", "x = 1  # one\n")
    return tmp_path


def named(root: Path, **changed: Any) -> str:
    return configuration.name(root, MANIFEST | changed)


@pytest.mark.parametrize(
    "changed",
    [{"features": ["svd_score"]}, {"sources": ["popularity"]}, {"params": {"seed": 8, "evaluation": {"k": [10]}}}],
)
def test_configuration_is_another_with_other_settings(root: Path, changed: Any) -> None:
    assert named(root, **changed) != named(root)


def test_configuration_is_the_same_however_it_is_evaluated_and_of_whatever_data(root: Path) -> None:
    evaluated = {"params": {"seed": 7, "evaluation": {"k": [20]}}}
    assert named(root, **evaluated, cut="2026-03-02", data_sha256="abc") == named(root)


@pytest.mark.parametrize("name", ["one", "folder/two"])
def test_configuration_is_another_with_other_code_of_learning(root: Path, name: str) -> None:
    before = named(root)
    write_text(root / f"pipelines/core/{name}.py", "x = 2\n")
    assert named(root) != before


def test_configuration_is_the_same_with_other_comments_and_other_stages(root: Path) -> None:
    before = named(root)
    write_text(root / "pipelines/core/one.py", "# explained\nx = (1)\n")
    write_text(root / "pipelines/core/other.py", "x = 2\n")
    assert named(root) == before
