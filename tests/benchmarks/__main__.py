"""``make bench``: run the measurements and print them; ``python -m tests.benchmarks historical serving`` runs some.

``lake-10m``, ``lake-100m``, ``features-10m``, ``models-10m``, ``serving-100k``,
``serving-500k`` and ``soak`` run only when they are named.
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from pipelines.settings import Settings
from tests.benchmarks import (
    events,
    feast_historical,
    feast_online,
    features,
    lake,
    models,
    pipeline,
    serving,
    serving_large,
    soak,
)
from tests.conftest import pipelines

SUITES = {
    "lake": partial(lake.run, events=1_000_000),
    "features": partial(features.run, events=1_000_000),
    "historical": feast_historical.run,
    "online": feast_online.run,
    "models": models.run,
    "pipeline": pipeline.run,
    "serving": serving.run,
    "events": events.run,
}
LARGE = {
    "lake-10m": partial(lake.run, events=10_000_000),
    "lake-100m": partial(lake.run, events=100_000_000),
    "features-10m": partial(features.run, events=10_000_000),
    "models-10m": models.run_large,
    "serving-100k": partial(serving_large.run, items=100_000),
    "serving-500k": partial(serving_large.run, items=500_000),
    "soak": soak.run,
}


def main(names: list[str]) -> None:
    """Run the suites on embedded servers of their own (or those that the environment names) in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101  Postgres runs as another user where we are root
        root = Path(folder)
        pipelines(root, "up")
        try:
            for name in names or SUITES:
                print(f"== {name}", flush=True)
                for line in (SUITES | LARGE)[name](Settings.load(root, os.environ)):
                    print(f"   {line}", flush=True)
        finally:
            pipelines(root, "down")


if __name__ == "__main__":
    main(sys.argv[1:])
