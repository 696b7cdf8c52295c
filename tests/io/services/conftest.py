import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pipelines
from pipelines.io import services
from pipelines.io.services import placement

CODE = Path(pipelines.__file__).parent.parent
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout() -> Iterator[Path]:
    """An empty root that every user may enter (pytest's own folders are closed), with nothing left behind."""
    root = Path(tempfile.mkdtemp(prefix="recomart-"))
    root.chmod(0o755)
    yield root
    services.stop_all(root)
    shutil.rmtree(placement.outside(root), ignore_errors=True)
    shutil.rmtree(root)


@pytest.fixture
def environ() -> dict[str, str]:
    """This process' environment without servers."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("POSTGRES_", "REDIS_", "MLFLOW_", "RECOMART_"))}
    return kept | {"PYTHONPATH": str(CODE)}


@pytest.fixture
def command(checkout: Path, environ: dict[str, str]) -> Command:
    """Run ``python -m pipelines …`` in the checkout; what it says is in ``stderr``."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=checkout,
            env=environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
