"""The whole pipeline, stage by stage: seconds and peak memory, on the demo shop and on Online Retail where it is."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from pipelines.io import services
from pipelines.settings import Settings
from tests.conftest import CHECKOUT, pipelines

ONLINE_RETAIL = CHECKOUT.parent / "shared/data/online-retail/online-retail.csv.gz"


def run(settings: Settings) -> Iterator[str]:
    """Yield a line a stage and one for the model, for each shop."""
    for shop in ("simulated", "online-retail"):
        if shop == "online-retail" and not ONLINE_RETAIL.exists():
            yield f"{shop}: left out, {ONLINE_RETAIL} is not there"
            continue
        with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
            try:
                yield from _measure(settings, Path(folder), shop)
            finally:
                services.stop_all(Path(folder))


def _measure(settings: Settings, root: Path, shop: str) -> Iterator[str]:
    for name in ("feature_repo", "params.yaml"):
        source = CHECKOUT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
    environ = settings.exported() | {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db"}
    os.environ.update(environ | {"PYTHONPATH": str(CHECKOUT)})
    connect_shop(root, shop)
    total = 0.0
    for stage in yaml.safe_load((CHECKOUT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]:
        seconds, peak = measure(root, "-m", "pipelines", stage)
        total += seconds
        yield f"{shop}: {stage:9s} {seconds:6.1f} s  {peak / 1024:6.0f} MB"
    metrics = json.loads((root / "data/reports/metrics.json").read_text(encoding="utf-8"))
    ours, popular = metrics["recomart"]["ndcg@10"], metrics["popularity"]["ndcg@10"]
    yield f"{shop}: all       {total:6.1f} s;  NDCG@10 {ours:.4f}, popularity {popular:.4f}, {ours / popular:.1f}×"


def connect_shop(root: Path, shop: str) -> None:
    """Connect a shop in ``root``; the simulated one's catalogue is served."""
    if shop == "simulated":
        from pipelines.commands import programs

        pipelines(root, "simulate")
        url = programs.serve_catalogue(root)
        pipelines(root, "connect", "--clickstream", "data/demo/clickstream", "--catalogue-url", url)
    else:
        pipelines(root, "connect", "--source", shop, "--clickstream", str(ONLINE_RETAIL))


def measure(root: Path, *arguments: str) -> tuple[float, int]:
    """Seconds and peak memory (KiB) of a Python process in ``root``."""
    started = time.perf_counter()
    with (root / "stderr").open("wb") as errors:
        process = subprocess.Popen([sys.executable, *arguments], cwd=root, stdout=errors, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, (root / "stderr").read_text(encoding="utf-8")
    return time.perf_counter() - started, usage.ru_maxrss
