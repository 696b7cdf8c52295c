"""Keep one program running: ``python -I -S supervisor.py <run folder> <name> <lock file descriptor>``.

Run as a file, with the standard library only: it needs neither a working directory nor this project's packages, and
waits in 10 MB. It reads ``<name>.json`` (see ``Program.spec``), starts the program, and starts it again if it ends
without being asked to. SIGTERM or SIGINT stops the program gently and ends the supervisor.

The lock that it inherits is what "runs" means: the kernel lets go of it however the supervisor ends. The locked file
says ``{"pid", "child", "since", "restarts", "exit"}``; ``child`` is null while a restart is awaited.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

SIGNALS: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
STOP: Final = {signal.SIGTERM, signal.SIGINT}
FIRST_DELAY_S: Final = 0.25
LONGEST_DELAY_S: Final = 30.0
HEALTHY_S: Final = 60.0
"""A program that ran this long starts with the first delay again."""
LOG_BYTES: Final = 10_000_000
STATE_BYTES: Final = 256
PR_SET_PDEATHSIG: Final = 1


class Supervisor:
    """Runs the program of ``spec``; tells its state in the locked file ``lock``."""

    def __init__(self, spec: dict[str, Any], lock: int) -> None:
        self.spec = spec
        self.lock = lock
        self.restarts = 0
        self.log = Path(spec["log"])

    def run(self) -> None:
        """Keep the program running until a signal asks for its end."""
        delay = FIRST_DELAY_S
        while True:
            started = time.monotonic()
            child = self._start()
            if child is not None:
                self._record(child.pid, None)
                if _ended_or_asked_to_stop(child):
                    self._stop(child)
                    return
            code = 127 if child is None else child.wait()
            delay = FIRST_DELAY_S if time.monotonic() - started > HEALTHY_S else delay
            self.restarts += 1
            self._record(None, code)
            self._say(f"ended with {meaning(code)}; starting it again in {delay:g} s")
            if _wait(delay, STOP):
                return
            delay = min(2 * delay, LONGEST_DELAY_S)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """Start the program in a session of its own, dying with this process; null if it can't be."""
        spec = self.spec
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(f"{self.log}.1")
        user = {} if spec["user"] is None else {"user": spec["user"], "group": spec["group"], "extra_groups": []}
        with self.log.open("ab") as log:
            try:
                return subprocess.Popen(
                    spec["argv"],
                    cwd=spec["cwd"],
                    env=os.environ | spec["env"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_dying_with_parent(spec["orphan_signal"]),
                    **user,
                )
            except (OSError, subprocess.SubprocessError) as error:
                self._say(f"can't start: {error}")
                return None

    def _stop(self, child: subprocess.Popen[bytes]) -> None:
        """Stop the program: its own signal first, SIGKILL when its time is over."""
        child.send_signal(self.spec["stop_signal"])
        deadline = time.monotonic() + self.spec["stop_timeout"]
        while not _ended(child.pid):
            if time.monotonic() > deadline:
                self._say("does not stop: killing it")
                child.kill()
                deadline = float("inf")
            _wait(0.2, {signal.SIGCHLD})
        _end_group(child.pid)
        child.wait()

    def _record(self, child: int | None, code: int | None) -> None:
        """Write the state in one call of constant size, so that a reader never sees a half."""
        state = {"pid": os.getpid(), "child": child, "since": time.time(), "restarts": self.restarts, "exit": code}
        os.pwrite(self.lock, json.dumps(state).ljust(STATE_BYTES).encode(), 0)

    def _say(self, text: str) -> None:
        line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} supervisor: {self.spec['name']} {text}\n"
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:  # a full disk is no reason
            log.write(line)


def _ended_or_asked_to_stop(child: subprocess.Popen[bytes]) -> bool:
    """Wait until the program ends (False) or a signal asks for its end (True)."""
    while not _ended(child.pid):
        if _wait(5.0, SIGNALS) in STOP:
            return True
    _end_group(child.pid)
    return False


def _ended(pid: int) -> bool:
    """Whether a child has ended; leaves it unreaped, so that its id can't be another's yet."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(pid: int) -> None:
    """Kill what an ended program left in its group (workers of a server). Postgres' own leave it, and end alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _wait(seconds: float, signals: set[signal.Signals]) -> int | None:
    """Sleep until one of ``signals`` (all blocked) arrives; its number, or null after ``seconds``."""
    info = signal.sigtimedwait(signals, seconds)
    return None if info is None else info.si_signo


def _dying_with_parent(number: int) -> Callable[[], None]:
    """What the child does before exec, after it took its user: ask the kernel for ``number`` when this process ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel knew
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    return prepare


def meaning(code: int) -> str:
    """How a program ended, for people."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def main(run: Path, name: str, lock: int) -> None:
    """Supervise ``name`` in the background; returns at once in the process that was started."""
    if os.fork():
        os._exit(0)  # the supervisor belongs to init, so nobody has to reap it
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.set_inheritable(lock, False)
    Supervisor(json.loads((run / f"{name}.json").read_text(encoding="utf-8")), lock).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
