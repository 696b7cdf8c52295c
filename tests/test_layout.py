"""The architecture, read from the imports."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# who may import whom (besides itself and what comes from PyPI)
BASE = {"pipelines.core", "pipelines.settings", "pipelines.params"}
ALLOWED = {
    "pipelines.core": set(),
    "pipelines.settings": {"pipelines.core"},
    "pipelines.params": {"pipelines.core"},
    "pipelines.context": {"pipelines.params", "pipelines.settings"},
    "pipelines.io": BASE,
    "pipelines.stages": BASE | {"pipelines.io", "pipelines.context"},
    "pipelines.flow": BASE | {"pipelines.io"},
    "pipelines.commands": BASE
    | {"pipelines.io", "pipelines.stages", "pipelines.context", "pipelines.flow", "pipelines.prefect_flow"},
    "pipelines.prefect_flow": BASE | {"pipelines.io", "pipelines.context", "pipelines.flow", "pipelines.commands"},
    "pipelines.__main__": {"pipelines.core", "pipelines.settings", "pipelines.context"},
    "serving": {"pipelines.core", "pipelines.io", "pipelines.settings"},
    "feature_repo": set(),
}
# folders of a part: their modules import their own, those of the folders before, and what lies beside the folders
ORDER = {
    "pipelines.core": ("", "lake", "features", "models", "evaluation", "lists"),
    "pipelines.io": ("", "intake", "quality", "preparation", "features", "live", "models"),
}
OURS = ("pipelines", "serving", "feature_repo")


def _part(module: str) -> str:
    """The part of the architecture that a module belongs to."""
    words = module.split(".")
    return words[0] if words[0] != "pipelines" else ".".join(words[:2])


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(p for folder in OURS for p in (CHECKOUT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CHECKOUT)))
def test_imports_point_down(path: Path) -> None:
    module = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
    part = _part(module)
    if part in ("pipelines", "pipelines.__init__"):
        return
    wrong = {
        name
        for name in _imports(path)
        if name.split(".")[0] in OURS and _part(name) != part and _part(name) not in ALLOWED[part]
    }
    assert not wrong, f"{module} may not import {sorted(wrong)}"


@pytest.mark.parametrize("part", ORDER)
def test_folders_import_those_before_them(part: str) -> None:
    folder, order = CHECKOUT / part.replace(".", "/"), ORDER[part]
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        own = order.index(_folder(".".join(path.relative_to(CHECKOUT).with_suffix("").parts), part))
        of_part = [name for name in _imports(path) if name.startswith(f"{part}.")]
        wrong += [(path.name, name) for name in of_part if order.index(_folder(name, part)) > own]
    assert not wrong


def _folder(module: str, part: str) -> str:
    """The folder of a part that a module, or a name in one, is in; "" for what lies beside."""
    first = module.removeprefix(f"{part}.").split(".")[0]
    return first if first in ORDER[part] else ""


@pytest.mark.parametrize("path", sorted((CHECKOUT / "pipelines/core").rglob("*.py")), ids=lambda p: p.name)
def test_core_does_no_io(path: Path) -> None:
    forbidden = {
        "os",
        "io",
        "pathlib",
        "subprocess",
        "socket",
        "httpx",
        "redis",
        "psycopg",
        "feast",
        "mlflow",
        "tempfile",
    }
    assert not {name.split(".")[0] for name in _imports(path)} & forbidden


def test_top_level_holds_only_what_was_agreed() -> None:
    agreed = {
        "feature_repo", "pipelines", "serving", "data", "notebooks", "tests", "docker-compose.yml", "requirements.txt",
        "Makefile", "README.md", "pyproject.toml", "dvc.yaml", "dvc.lock", "params.yaml", "logs",
    }  # fmt: skip
    assert {p.name for p in CHECKOUT.iterdir() if not p.name.startswith(".")} <= agreed
