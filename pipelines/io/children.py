"""Run a program in a process group of its own, and end all of it where it takes too long."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from pipelines.io.services.processes import alive

GRACE_S: Final = 15.0
"""How long a program may take to clean up before it is killed."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float,
    say: Callable[[str], None] | None = None,
) -> int:
    """Run a program and return its exit code; ``say`` gets each line that it prints, else its output is ours.

    Whatever ends the wait early (an interruption, too) ends the program and all that it started.

    Raises:
        TimeoutError: it took longer than ``timeout_s``.
    """
    output = None if say is None else subprocess.PIPE
    together = None if say is None else subprocess.STDOUT
    child = subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=together, start_new_session=True
    )
    reader = threading.Thread(target=_read, args=(child.stdout, say), daemon=True)
    reader.start()
    try:
        code = child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _end(child)
        raise TimeoutError(f"took longer than {timeout_s:g} s") from None
    except BaseException:
        _end(child)
        raise
    reader.join(GRACE_S)  # what it left running in the background may hold the pipe for ever
    return code


def _read(stream: IO[bytes] | None, say: Callable[[str], None] | None) -> None:
    if stream is not None and say is not None:
        for line in stream:
            if text := line.decode(errors="replace").rstrip():
                say(text)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Interrupt the group, as Ctrl-C does, so that files and locks are cleared away; kill what is left."""
    for number, patience_s in ((signal.SIGINT, GRACE_S), (signal.SIGKILL, 5.0)):
        _send(child.pid, number)
        deadline = time.monotonic() + patience_s
        while _lives(child) and time.monotonic() < deadline:
            time.sleep(0.05)


def _send(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _lives(child: subprocess.Popen[bytes]) -> bool:
    """Whether a process of the group runs; one that ended and that nobody reaps doesn't count."""
    child.poll()
    return any(_group(pid) == child.pid and alive(pid) for pid in _pids())


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
