import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.__main__ import COMMANDS

CHECKOUT = Path(__file__).resolve().parents[1]


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


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_cli_command_has_help(command: str, tmp_path: Path) -> None:
    done = _run(tmp_path, command, "--help")
    assert done.returncode == 0
    assert "--debug" in done.stdout
