import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipelines.__main__ import COMMANDS, main
from pipelines.context import Context
from pipelines.core.errors import ServiceError

CHECKOUT = Path(__file__).resolve().parents[1]
STAGES = [name for name, module in COMMANDS.items() if module.startswith("pipelines.stages.")]


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_cli_error_is_one_readable_line(tmp_path: Path) -> None:
    done = _run(tmp_path, "ingest")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "connect" in done.stderr


def test_cli_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in _run(tmp_path, "ingest", "--debug").stderr


def test_cli_log_file_keeps_the_traceback(tmp_path: Path) -> None:
    _run(tmp_path, "ingest")
    assert "Traceback" in (tmp_path / "logs/ingest.log").read_text(encoding="utf-8")


def test_cli_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    assert _run(tmp_path, "nonsense").returncode == 2


def test_cli_help_says_what_each_command_does(tmp_path: Path) -> None:
    helped = _run(tmp_path, "--help").stdout
    assert all(command in helped for command in COMMANDS)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/x"),
        duckdb.IOException('Could not write file "x": No space left on device'),
        ServiceError("Postgres: could not extend file: No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_cli_full_disk_is_one_readable_line(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Context) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.commands.status.run", fail)
    assert main(["status"]) == 1
    assert capsys.readouterr().err.startswith("status: the disk is full")


@pytest.mark.slow
@pytest.mark.parametrize("command", [*STAGES, "pipeline", "materialize"])
def test_cli_command_in_an_empty_folder_says_what_is_missing(command: str, tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    done = _run(tmp_path, command)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_cli_command_has_help(command: str, tmp_path: Path) -> None:
    done = _run(tmp_path, command, "--help")
    assert done.returncode == 0
    assert "--debug" in done.stdout
