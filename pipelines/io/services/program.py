"""What is supervised, and what is known about it."""

import http.client
import signal
import socket
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

SERVICES: Final = Path("data/services")
RUN: Final = SERVICES / "run"
MARK: Final = "RECOMART_SERVICE"
"""Environment variable of every supervised process and its children: ``<run folder>/<name>``."""

Ready = Callable[[], bool] | str | int


@dataclass(frozen=True)
class Program:
    """A program to keep running.

    Args:
        name: of its log, lock and row of `status`; one program a name.
        argv: absolute program and arguments. No secrets: everybody on the machine can read them.
        ready: when it may be used: a URL that answers 2xx, a TCP port of 127.0.0.1 that accepts, or a function.
        env: on top of the starter's environment. A changed value restarts the program.
        cwd: working directory; the checkout unless given.
        address: for people; derived from ``ready`` where that is a URL or a port.
        user: (uid, gid) to run as.
        stop_signal: asks for a gentle end; after ``stop_timeout`` seconds comes SIGKILL.
        orphan_signal: what the kernel sends the program if its supervisor is killed.
        start_timeout: seconds until it has to be ready.
    """

    name: str
    argv: tuple[str, ...]
    ready: Ready
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    address: str | None = None
    user: tuple[int, int] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 20.0
    orphan_signal: signal.Signals = signal.SIGKILL
    start_timeout: float = 60.0

    def spec(self, root: Path) -> dict[str, Any]:
        """What the supervisor reads, as JSON."""
        return {
            "name": self.name,
            "argv": list(self.argv),
            "env": dict(self.env) | {MARK: str(root / RUN / self.name)},
            "cwd": str(self.cwd or root),
            "log": str(log_path(root, self.name)),
            "address": self.where,
            "user": self.user and self.user[0],
            "group": self.user and self.user[1],
            "stop_signal": int(self.stop_signal),
            "stop_timeout": self.stop_timeout,
            "orphan_signal": int(self.orphan_signal),
        }

    @property
    def where(self) -> str:
        """The address to show."""
        if self.address is not None or callable(self.ready):
            return self.address or ""
        return self.ready if isinstance(self.ready, str) else f"127.0.0.1:{self.ready}"

    @property
    def port(self) -> int | None:
        """The TCP port that the program will listen on, where ``ready`` says so."""
        if callable(self.ready):
            return None
        return urlsplit(self.ready).port if isinstance(self.ready, str) else self.ready

    def is_ready(self) -> bool:
        """Whether the program answers now."""
        if callable(self.ready):
            return self.ready()
        return _answers(self.ready) if isinstance(self.ready, str) else accepts(self.ready)


@dataclass(frozen=True)
class Status:
    """A supervised program now. ``pid`` is null and ``exit`` set while a restart is awaited; ``since`` is epoch s."""

    name: str
    address: str
    supervisor: int
    pid: int | None
    since: float
    restarts: int
    exit: int | None


def log_path(root: Path, name: str) -> Path:
    """Where a program's output goes."""
    return root / "logs" / f"{name}.log"


def accepts(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts TCP connections to ``port``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections don't count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine: never by proxy
    try:
        with opener.open(url, timeout=2):
            return True
    except (OSError, http.client.HTTPException):
        return False
