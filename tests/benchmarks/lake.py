"""Simulated events as CSV.gz through ingest, validate and prepare: events a second and peak memory, beside pandas."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.commands import programs
from pipelines.io import services
from pipelines.settings import Settings
from tests.benchmarks.pipeline import measure
from tests.conftest import CHECKOUT, pipelines

EVENTS_A_USER = 102.4  # of the simulated shop, in 90 days
PANDAS = Path(__file__).with_name("lake_pandas.py")
MOST_FOR_PANDAS = 20_000_000  # beyond, it would need more memory than there is


def run(_: Settings, events: int) -> Iterator[str]:
    """Yield a line a stage and one for all, then the same work in pandas."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        try:
            yield from _measure(Path(folder), events)
        finally:
            services.stop_all(Path(folder))


def _measure(root: Path, events: int) -> Iterator[str]:
    (root / "params.yaml").write_text((CHECKOUT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    os.environ["PYTHONPATH"] = str(CHECKOUT)
    pipelines(root, "simulate", "--users", str(round(events / EVENTS_A_USER)), "--items", "20000", "--gzip")
    rows = json.loads((root / "data/demo/simulation.json").read_text(encoding="utf-8"))["counts"]["rows"]
    url = programs.serve_catalogue(root)
    pipelines(root, "connect", "--clickstream", "data/demo/clickstream", "--catalogue-url", url)
    total, most = 0.0, 0
    for stage in ("ingest", "validate", "prepare"):
        seconds, peak = measure(root, "-m", "pipelines", stage)
        total, most = total + seconds, max(most, peak)
        yield f"{rows:,} rows: {stage:9s} {seconds:6.1f} s  {peak / 1024:6.0f} MB"
    yield f"{rows:,} rows: all       {total:6.1f} s  {most / 1024:6.0f} MB  {rows / total:,.0f} rows/s"
    if rows <= MOST_FOR_PANDAS:
        seconds, peak = measure(root, str(PANDAS), str(root))
        yield f"{rows:,} rows: pandas    {seconds:6.1f} s  {peak / 1024:6.0f} MB  ({seconds / total:.1f}× our time)"


if __name__ == "__main__":
    for line in run(Settings.load(Path.cwd(), os.environ), int(sys.argv[1])):
        print(line, flush=True)
