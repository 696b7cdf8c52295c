"""However often ingest is killed, and wherever: no half file stays, and the next run makes the lake whole."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.io import files
from pipelines.io.intake import lake
from tests.conftest import SERVERS

CHECKOUT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # real processes

HEADER = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
FILES = 36


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of some megabytes, every third one plain."""
    folder, rng = tmp_path_factory.mktemp("log"), random.Random(1)
    for number in range(FILES):
        rows = b"".join(b"%d,S%d,Lamp,1,2026-01-01,9.5,%d\n" % (n, number, rng.getrandbits(40)) for n in range(60_000))
        name, content = f"log-2026-01-{number % 12 + 1:02d}-{number}.csv", HEADER + rows
        if number % 3:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1))
        else:
            (folder / name).write_bytes(content)
    return folder


def start(root: Path, log: Path) -> subprocess.Popen[bytes]:
    connection = {"shop": "online-retail", "source": "online-retail", "clickstream": [str(log)]}
    files.write_text(root / "data/source.yaml", yaml.safe_dump(connection))
    command = [sys.executable, "-m", "pipelines", "ingest"]
    return subprocess.Popen(command, cwd=root, env=_alone())


def _alone() -> dict[str, str]:
    """An environment that names no servers, whatever ran before in this process."""
    return {name: value for name, value in os.environ.items() if name not in SERVERS} | {"PYTHONPATH": str(CHECKOUT)}


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> bool:
    """Kill the process as soon as something is reached; tells whether it lived until then."""
    while process.poll() is None:
        if reached():
            process.send_signal(signal.SIGKILL)
        time.sleep(0.001)
    return process.wait() == -signal.SIGKILL


def copied(root: Path) -> int:
    return len(list((root / lake.CLICKSTREAM).glob("2026/*/*/*")))


def contents(root: Path) -> dict[str, str]:
    raw = root / lake.RAW
    return {
        str(p.relative_to(raw)): files.sha256(p) for p in raw.rglob("*") if p.is_file() and p.name != "manifest.json"
    }


def entries(root: Path) -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = json.loads((root / lake.CLICKSTREAM / "manifest.json").read_text())["files"]
    return [{name: value for name, value in entry.items() if name != "ingested_at"} for entry in held]


@pytest.fixture(scope="module")
def undisturbed(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    assert start(root, log).wait() == 0
    assert copied(root) == len(entries(root)) == FILES
    return root


def check_whole(root: Path, log: Path, undisturbed: Path) -> None:
    assert start(root, log).wait() == 0
    assert contents(root) == contents(undisturbed)
    assert entries(root) == entries(undisturbed)


def test_ingest_killed_again_and_again_as_it_goes_on(tmp_path: Path, log: Path, undisturbed: Path) -> None:
    kills = 0
    for goal in (1, 2, 5, 11, 19, 30, FILES):
        kills += kill_when(start(tmp_path, log), lambda goal=goal: copied(tmp_path) >= goal)  # type: ignore[misc]
        for path in (tmp_path / lake.CLICKSTREAM).glob("2026/*/*/*"):  # what has its name is whole
            assert path.read_bytes().endswith(b"\n") or gzip.decompress(path.read_bytes())
    assert kills >= 3
    check_whole(tmp_path, log, undisturbed)


def test_ingest_killed_with_half_a_copy(tmp_path: Path, log: Path, undisturbed: Path) -> None:
    def half() -> bool:
        return any((tmp_path / lake.CLICKSTREAM).glob(".*.tmp"))

    assert kill_when(start(tmp_path, log), half)
    check_whole(tmp_path, log, undisturbed)


def test_ingest_killed_at_random(tmp_path: Path, log: Path, undisturbed: Path) -> None:
    rng = random.Random(7)
    for _ in range(6):
        until = time.monotonic() + rng.uniform(0.5, 2.5)
        kill_when(start(tmp_path, log), lambda until=until: time.monotonic() > until)  # type: ignore[misc]
    check_whole(tmp_path, log, undisturbed)
