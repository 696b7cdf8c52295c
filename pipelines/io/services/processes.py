"""Find and end processes of this checkout that no supervisor answers for any more (Linux, by /proc)."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.core.errors import ServiceError
from pipelines.io.services.program import MARK, RUN, SERVICES

SERVERS: Final = {"postgres", "redis-server"}
PATIENCE_S: Final = 90.0
"""How long all of it may take to end gently; longer than any program's ``stop_timeout``."""


@dataclass(frozen=True)
class Leftover:
    """A process of ours; ``stop_signal`` is null where it ends by itself with another one."""

    pid: int
    name: str
    stop_signal: signal.Signals | None
    supervises: bool = False


def leftovers(root: Path, names: Iterable[str] | None = None) -> list[Leftover]:
    """Every running process that this checkout's services started, or those of the programs ``names``.

    A process is ours by proof only: it is a supervisor with our run folder as argument, or carries our mark in its
    environment, or is a Postgres or Redis whose argument or working directory is our data folder.
    """
    wanted = None if names is None else set(names)
    found = (_identify(root, pid) for pid in _pids())
    return sorted(
        (p for p in found if p is not None and (wanted is None or p.name in wanted)), key=lambda p: (p.name, p.pid)
    )


def end(root: Path, names: Iterable[str] | None = None) -> list[str]:
    """End what ``leftovers`` finds, gently where that works in time; returns the programs' names.

    Raises:
        ServiceError: a process is another user's, or doesn't end even by SIGKILL.
    """
    names = None if names is None else list(names)
    ended = set()
    signalled: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    while found := leftovers(root, names):
        ended |= {p.name for p in found}
        supervised = {p.name for p in found if p.supervises}
        for process in found:
            if time.monotonic() > deadline + PATIENCE_S:
                raise ServiceError(f"{process.name} (process {process.pid}) can't be stopped, not even by SIGKILL")
            if time.monotonic() > deadline:
                _send(process.pid, signal.SIGKILL)
            elif process.pid not in signalled and (process.supervises or process.name not in supervised):
                signalled.add(process.pid)
                if process.stop_signal is not None:
                    _send(process.pid, process.stop_signal)
        time.sleep(0.05)
    return sorted(ended)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended but wasn't reaped does not."""
    stat = _read(pid, "stat")
    return bool(stat) and stat.rpartition(b")")[2].split()[0] != b"Z"


def _identify(root: Path, pid: int) -> Leftover | None:
    run = str(root / RUN)
    argv = _read(pid, "cmdline").decode(errors="replace").split("\0")
    if not alive(pid):
        return None
    if run in argv and any(a.endswith("supervisor.py") for a in argv):
        return Leftover(pid, argv[argv.index(run) + 1], signal.SIGTERM, supervises=True)
    program = _read(pid, "comm").decode(errors="replace").strip()
    if program in SERVERS:
        name = "postgres" if program == "postgres" else "redis"
        folder = str((root / SERVICES / name).resolve())
        if folder in argv:
            return Leftover(pid, name, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        if _cwd(pid) == folder:  # Postgres' own children follow it; a signal of ours would mean something else to them
            return Leftover(pid, name, None if name == "postgres" else signal.SIGTERM)
    for variable in _read(pid, "environ").split(b"\0"):
        key, _, value = variable.decode(errors="replace").partition("=")
        if key == MARK and value.startswith(f"{run}/"):
            return Leftover(pid, value.removeprefix(f"{run}/"), signal.SIGTERM)
    return None


def _pids() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            yield int(entry.name)


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; empty where the process is gone or another's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _cwd(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)")
    except OSError:
        return ""


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise ServiceError(f"process {pid} was started by another user: run this command as that user") from None
