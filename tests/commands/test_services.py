import subprocess
import sys
from pathlib import Path

from pipelines.io import services
from pipelines.io.services import Program
from pipelines.settings import SERVICES_FILE, Settings
from tests.conftest import CHECKOUT

ENV = """\
POSTGRES_HOST=127.0.0.1
POSTGRES_PORT=20001
POSTGRES_PASSWORD=it's; $HOME "x"
REDIS_URL=redis://:secret@127.0.0.1:20002/0
"""


def run(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        [sys.executable, "-m", "pipelines", command],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_env_is_what_a_shell_evaluates(tmp_path: Path) -> None:
    (tmp_path / SERVICES_FILE).parent.mkdir(parents=True)
    (tmp_path / SERVICES_FILE).write_text(ENV)
    script = f'eval "$({sys.executable} -m pipelines env)" && command -v feast >&2 && env'
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    expected = {f"{name}={value}" for name, value in Settings.load(tmp_path, {}).exported().items()}
    assert 'POSTGRES_PASSWORD=it\'s; $HOME "x"' in expected
    assert expected <= set(done.stdout.splitlines())


def test_env_without_servers_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path, "env")
    assert (done.returncode, done.stdout) == (1, "")
    assert "start one with `make up`" in done.stderr


def test_status_shows_what_runs(tmp_path: Path) -> None:
    assert run(tmp_path, "status").stdout == "nothing runs; `make up` starts Postgres and Redis\n"
    idle = Program("idle", (sys.executable, "-c", "import time; time.sleep(60)"), lambda: True, address="over there")
    try:
        services.start(tmp_path, idle)
        (status,) = services.running(tmp_path)
        header, row = run(tmp_path, "status").stdout.splitlines()
    finally:
        services.stop_all(tmp_path)
    assert header.split() == ["NAME", "STATE", "PID", "ADDRESS", "UPTIME"]
    assert row.split()[:5] == ["idle", "running", str(status.pid), "over", "there"]


def test_down_with_nothing_to_stop_succeeds(tmp_path: Path) -> None:
    done = run(tmp_path, "down")
    assert (done.returncode, done.stderr) == (0, "down: nothing runs\n")
    assert not (tmp_path / "data").exists()
