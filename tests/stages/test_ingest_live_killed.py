"""However often ingest is killed while events arrive: the lake ends with each of them once."""

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import psycopg
import pytest
import yaml

from pipelines.core.lists.live_event import LiveEvent
from pipelines.io import files
from pipelines.io.intake import lake
from pipelines.io.live import live_log
from pipelines.settings import Settings
from tests.conftest import CHECKOUT

pytestmark = [pytest.mark.slow, pytest.mark.services]  # real processes

MAY_PASS = 75
LOG = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n1,S,Lamp,1,2026-01-01,9.5,7\n"


def start(settings: Settings) -> subprocess.Popen[bytes]:
    environ = os.environ | settings.exported() | {"PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen([sys.executable, "-m", "pipelines", "ingest"], cwd=settings.root, env=environ)


def ended(settings: Settings) -> int:
    """The exit code; a run that says that a server didn't answer in time is started again, as the runner does."""
    code = MAY_PASS
    for _ in range(5):
        if code == MAY_PASS:
            code = start(settings).wait()
    return code


def held(settings: Settings) -> list[str]:
    folder, found = settings.root / lake.CLICKSTREAM, []
    for entry in lake.Manifest.read(folder).active():
        if lake.LIVE in entry:
            with (folder / entry["path"]).open(encoding="utf-8", newline="") as file:
                found += [row["event_id"] for row in csv.DictReader(file)]
    return found


def test_ingest_killed_at_random_takes_every_event_once(settings: Settings) -> None:
    (settings.root / "log.csv").write_text(LOG)
    (settings.root / "params.yaml").symlink_to(CHECKOUT / "params.yaml")
    connection = {"shop": "online-retail", "source": "online-retail", "clickstream": ["log.csv"]}
    files.write_text(settings.root / "data/source.yaml", yaml.safe_dump(connection))
    done = threading.Event()

    def arrive() -> None:
        writer, number = live_log.Writer(settings), 0
        while not done.is_set():
            batch = [
                LiveEvent(f"e{n}", f"u{n % 7}", "S", "view", datetime.now(UTC)) for n in range(number, number + 500)
            ]
            writer.insert(batch, lambda _: None)
            number += 500
            done.wait(0.05)
        writer.close()

    arriving = threading.Thread(target=arrive)
    arriving.start()
    began = time.monotonic()
    assert ended(settings) == 0
    took = time.monotonic() - began
    rng, kills = random.Random(7), 0
    for _ in range(40):
        began, process = time.monotonic(), start(settings)
        try:
            process.wait(rng.uniform(0.5, 1.05) * took)
            took = min(took, time.monotonic() - began)  # the first run may have been a slow one
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        if kills == 6:
            break
    done.set()
    arriving.join()
    assert kills >= 3
    assert ended(settings) == 0
    found = held(settings)
    with psycopg.connect(settings.postgres_conninfo) as opened:
        stored = [event_id for (event_id,) in opened.execute("SELECT event_id FROM live.events").fetchall()]
    assert len(stored) >= 5_000
    assert sorted(found) == sorted(stored)
    folder = settings.root / lake.CLICKSTREAM
    listed = {entry["path"] for entry in lake.Manifest.read(folder).files}
    there = {str(path.relative_to(folder)) for path in folder.glob("*/*/*/*")}
    assert there == listed
