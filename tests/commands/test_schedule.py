"""The schedule on a real Prefect server: a small project, real DVC, real processes, nothing outside this machine."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands import programs
from pipelines.io import services
from pipelines.io.services import processes
from tests.project import CHECKOUT, NAMED, chain, project

FLAKY = "echo b >> ran && test $(grep -c b ran) -gt 1 || exit 75; cp a.txt b.txt"
STRICT = "echo c >> ran && grep -q good b.txt || python -m pipelines ingest; cp b.txt c.txt"
"""Fails, in the words of a real command, until the input is good."""
STAGES = chain(
    "a",
    "b",
    "c",
    b={"cmd": FLAKY, "meta": {"retries": 1, "retry_delay_s": 0}},
    c={"cmd": STRICT + " && grep -q good c.txt", "meta": {"retries": 1, "retry_delay_s": 0}},
)
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
pytestmark = pytest.mark.slow


class Shop:
    """A project with its scheduler running."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir()

    def command(self, *arguments: str) -> str:
        environ = os.environ | NAMED | {"PYTHONPATH": str(CHECKOUT), "HOME": str(self.home)}
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=self.root,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def api(self, path: str, body: object = None) -> Any:
        (server,) = [one for one in services.running(self.root) if one.name == "prefect"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{server.address}/api{path}", data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def start_run(self) -> str:
        deployment = self.api(f"/deployments/name/{programs.FLOW}")["id"]
        run = self.api(f"/deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        return str(run["id"])

    def ended(self, run: str) -> dict[str, Any]:
        deadline = time.monotonic() + 180
        while (state := self.api(f"/flow_runs/{run}")["state"])["type"] not in ENDED:
            assert time.monotonic() < deadline, (self.root / "logs/scheduler.log").read_text()
            time.sleep(0.5)
        return dict(state)

    def tasks(self, run: str) -> list[tuple[str, str, int]]:
        asked = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found = self.api("/task_runs/filter", asked)
        return [(t["name"].rpartition("-")[0], t["state"]["type"], t["run_count"]) for t in found]

    def logs(self, run: str, until: str) -> list[str]:
        """The run's log, once a line of it begins with ``until``: lines arrive a while after the run's end."""
        deadline = time.monotonic() + 60
        while True:
            lines = self._logs(run)
            if any(line.startswith(until) for line in lines):
                return lines
            assert time.monotonic() < deadline, lines
            time.sleep(0.5)

    def _logs(self, run: str) -> list[str]:
        asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return [str(line["message"]) for line in self.api("/logs/filter", asked)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("schedule")
    project(root, STAGES)
    (root / "in.txt").write_text("bad\n")
    shop = Shop(root)
    try:
        shop.command("schedule", "--cron", "30 2 * * *", "--timezone", "Europe/London")
        yield shop
    finally:
        services.stop_all(root)


def test_schedule_runs_retries_fails_and_is_resumed(shop: Shop) -> None:
    (schedule,) = shop.api(f"/deployments/name/{programs.FLOW}")["schedules"]
    assert (schedule["active"], schedule["schedule"]["cron"]) == (True, "30 2 * * *")
    assert schedule["schedule"]["timezone"] == "Europe/London"

    run = shop.start_run()
    state = shop.ended(run)
    assert state["type"] == "FAILED"
    assert "c failed: no shop is connected" in state["message"]
    servers = ("servers", "COMPLETED", 1)
    assert shop.tasks(run) == [servers, ("a", "COMPLETED", 1), ("b", "COMPLETED", 2), ("c", "FAILED", 1)]

    (shop.root / "in.txt").write_text("good\n")
    retry = {"type": "SCHEDULED", "name": "AwaitingRetry"}  # as the page's button does
    assert shop.api(f"/flow_runs/{run}/set_state", {"state": retry})["status"] == "ACCEPT"
    assert shop.ended(run)["type"] == "COMPLETED"
    assert (shop.root / "c.txt").read_text() == "good\n"

    again = shop.start_run()
    assert shop.ended(again)["type"] == "COMPLETED"
    assert (shop.root / "ran").read_text().split() == ["a", "b", "b", "c", "a", "b", "c"]
    assert "a: unchanged" in shop.logs(again, until="ran nothing; 3 unchanged")


def test_schedule_is_known_and_keeps_all_its_state_here(shop: Shop) -> None:
    status = shop.command("status")
    assert "30 2 * * * (Europe/London)" in status
    assert (shop.root / "data/services/prefect/prefect.db").exists()
    assert not (shop.home / ".prefect").exists()


def test_schedule_page_loads_nothing_from_elsewhere(shop: Shop) -> None:
    (server,) = [one for one in services.running(shop.root) if one.name == "prefect"]
    with urllib.request.urlopen(server.address, timeout=30) as response:
        page = response.read().decode()
    assert "<script" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_down_ends_the_run_that_is_going_on(shop: Shop) -> None:
    stages = chain("a", a={"cmd": "sh -c 'echo $$ > sleeping; exec sleep 300'; true", "always_changed": True})
    project(shop.root, stages)
    shop.start_run()
    deadline = time.monotonic() + 120
    while not (shop.root / "sleeping").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    shop.command("down")
    assert not processes.alive(int((shop.root / "sleeping").read_text()))
    assert processes.leftovers(shop.root) == []
