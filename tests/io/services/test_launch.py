import dataclasses
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.core.errors import ServiceError
from pipelines.io import services
from pipelines.io.services import Program, Status, launch, processes

pytestmark = pytest.mark.slow  # each starts and stops processes

SERVER = "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler).serve_forever()"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    services.stop_all(tmp_path)


@pytest.fixture
def server() -> Program:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Program("web", (sys.executable, "-c", SERVER.format(port=port)), ready=f"http://127.0.0.1:{port}/")


def until(true: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def only(root: Path) -> Status:
    (status,) = services.running(root)
    return status


def test_start_returns_when_the_program_is_ready(root: Path, server: Program) -> None:
    assert services.start(root, server)
    status = only(root)
    assert (status.name, status.address, status.restarts) == ("web", server.ready, 0)
    assert server.is_ready()


def test_start_again_changes_nothing(root: Path, server: Program) -> None:
    services.start(root, server)
    before = only(root)
    assert not services.start(root, server)
    assert only(root) == before


def test_start_with_other_arguments_restarts(root: Path, server: Program) -> None:
    services.start(root, server)
    before = only(root)
    assert services.start(root, dataclasses.replace(server, env={"COLOUR": "blue"}))
    assert only(root).pid != before.pid
    assert not processes.alive(before.supervisor)
    assert b"COLOUR=blue" in Path(f"/proc/{only(root).pid}/environ").read_bytes()


def test_start_reports_the_log_of_a_program_that_ends_at_once(root: Path) -> None:
    broken = Program("broken", (sys.executable, "-c", "import sys; sys.exit('no such table')"), ready=9)
    with pytest.raises(ServiceError, match=r"(?s)broken ended at once \(exit code 1\).*no such table"):
        services.start(root, broken)
    assert services.running(root) == []


def test_start_reports_a_program_that_is_not_there(root: Path) -> None:
    with pytest.raises(ServiceError, match="No such file or directory"):
        services.start(root, Program("absent", ("/nowhere/absent",), ready=lambda: True))


def test_start_gives_up_on_a_program_that_is_never_ready(root: Path) -> None:
    idle = Program("idle", (sys.executable, "-c", "import time; time.sleep(60)"), lambda: False, start_timeout=0.5)
    with pytest.raises(ServiceError, match=r"was not ready within 0\.5 s"):
        services.start(root, idle)
    assert processes.leftovers(root) == []


def test_start_refuses_a_taken_port(root: Path, server: Program) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port or 0))
        other.listen()
        with pytest.raises(ServiceError, match=f"web: port {server.port} of 127.0.0.1 is taken"):
            services.start(root, server)


def test_supervisor_restarts_a_killed_program(root: Path, server: Program) -> None:
    services.start(root, server)
    before = only(root)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    assert until(lambda: only(root).restarts == 1 and only(root).pid is not None and server.is_ready())
    assert only(root).supervisor == before.supervisor
    assert "ended with signal 9; starting it again in 0.25 s" in (root / "logs/web.log").read_text()


def test_program_ends_with_a_killed_supervisor(root: Path, server: Program) -> None:
    services.start(root, server)
    before = only(root)
    os.kill(before.supervisor, signal.SIGKILL)
    assert until(lambda: not processes.alive(before.pid or 0), seconds=2)
    assert services.running(root) == []
    assert services.start(root, server)


def test_stop_kills_what_ignores_its_signal(root: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('ready', 'w'); time.sleep(60)"
    stubborn = Program("stubborn", (sys.executable, "-c", code), lambda: (root / "ready").exists(), stop_timeout=0.3)
    services.start(root, stubborn)
    assert services.stop(root, "stubborn")
    assert processes.leftovers(root) == []
    assert "does not stop: killing it" in (root / "logs/stubborn.log").read_text()


def test_supervisor_ends_the_workers_of_a_crashed_program(root: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('workers', 'a').write(f'{worker.pid}\\n')\n"
        "time.sleep(60)"
    )
    parent = Program("parent", (sys.executable, "-c", code), lambda: (root / "workers").exists())
    services.start(root, parent)
    assert until(lambda: (root / "workers").read_text().endswith("\n"))
    worker = int((root / "workers").read_text())
    os.kill(only(root).pid or 0, signal.SIGKILL)
    assert until(lambda: not processes.alive(worker), seconds=5)
    assert until(lambda: len((root / "workers").read_text().splitlines()) == 2)


def test_stop_finds_workers_of_a_killed_supervisor(root: Path) -> None:
    code = "import os, time\nif os.fork() == 0: os.setsid()\nopen('ready', 'w'); time.sleep(60)"
    services.start(root, Program("pair", (sys.executable, "-c", code), lambda: (root / "ready").exists()))
    os.kill(only(root).supervisor, signal.SIGKILL)
    assert until(lambda: len(processes.leftovers(root)) == 1)  # the one that left the session
    assert services.stop_all(root) == ["pair"]
    assert processes.leftovers(root) == []


def test_stop_all_stops_the_newest_first(root: Path, server: Program) -> None:
    services.start(root, dataclasses.replace(server, name="older"))
    idle = Program("newer", (sys.executable, "-c", "import time; time.sleep(60)"), ready=lambda: True)
    services.start(root, idle)
    assert [s.name for s in services.running(root)] == ["older", "newer"]
    assert services.stop_all(root) == ["newer", "older"]
    assert services.stop_all(root) == []


def test_stop_all_finds_programs_whose_files_are_gone(root: Path, server: Program) -> None:
    services.start(root, server)
    for file in (root / "data/services/run").iterdir():
        file.unlink()
    assert services.stop_all(root) == ["web"]
    assert not server.is_ready()


def test_stop_all_ignores_stale_files(root: Path) -> None:
    run = root / "data/services/run"
    run.mkdir(parents=True)
    (run / "web.lock").write_text(f'{{"pid": {os.getppid()}, "child": {os.getppid()}}}')
    (run / "web.json").write_text('{"half')
    assert services.running(root) == []
    assert services.stop_all(root) == []
    assert not (run / "web.lock").exists()


def test_stop_all_leaves_other_processes_alone(root: Path, server: Program, tmp_path: Path) -> None:
    other = tmp_path / "other"
    services.start(other, server)
    try:
        assert services.stop_all(root) == []
        assert server.is_ready()
    finally:
        services.stop_all(other)


def test_exclusive_makes_a_second_command_wait(root: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with launch.exclusive(root):
            entered.set()

    with launch.exclusive(root):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(5)
    thread.join()
