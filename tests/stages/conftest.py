"""A connected shop in a folder of the test's own."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.context import Context
from pipelines.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A context whose root is empty but for the project's parameters."""
    (tmp_path / "params.yaml").write_text((CHECKOUT / "params.yaml").read_text())
    return Context(Namespace(), Settings.load(tmp_path, {}))


@pytest.fixture
def connect(context: Context) -> Callable[..., None]:
    """Write ``data/source.yaml`` as the command does once all is checked."""

    def write(source: str, *clickstream: Path, **given: Any) -> None:
        path = context.root / "data/source.yaml"
        path.parent.mkdir(exist_ok=True)
        log = [str(p) for p in clickstream]
        found = {"shop": source, "source": source, "clickstream": log} | given
        path.write_text(yaml.safe_dump(found))

    return write
