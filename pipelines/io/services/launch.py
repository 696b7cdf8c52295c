"""Start and stop supervised programs. Callers hold ``exclusive(root)``; the package's functions do that for them."""

import fcntl
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import ServiceError
from pipelines.io import files
from pipelines.io.services import processes, supervisor
from pipelines.io.services.program import RUN, Program, Status, is_free, log_path

log = logging.getLogger(__name__)

PROVE_S: Final = 5.0
"""How long a program that already runs may take to answer before it is started anew."""


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the checkout's services alone; a second `up` or `down` waits here for the first."""
    (root / RUN).mkdir(parents=True, exist_ok=True)
    (root / RUN).chmod(0o700)
    with files.locked(root / RUN / ".lock", "another command that starts or stops services here"):
        yield


def launch(root: Path, program: Program) -> bool:
    """Have ``program`` run and be ready; False if it did already.

    Raises:
        ServiceError: its port is taken, it ended at once, or it wasn't ready in time; the end of its log is shown.
    """
    if _runs_as_asked(root, program):
        return False
    halt(root, program.name)
    if program.port is not None and not is_free(program.port):
        raise ServiceError(f"{program.name}: port {program.port} of 127.0.0.1 is taken by another program")
    output = log_path(root, program.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    begin = output.stat().st_size if output.exists() else 0
    _write_spec(root, program)
    _spawn(root, program.name)
    try:
        _await_ready(root, program)
    except ServiceError as error:
        halt(root, program.name)
        raise ServiceError(f"{program.name} {error}\n{_tail(output, begin)}") from None
    except BaseException:
        halt(root, program.name)
        raise
    return True


def halt(root: Path, name: str) -> bool:
    """Stop ``name`` and whatever is left of it; False if nothing of it ran."""
    state = _state(root, name)
    ended = processes.end(root, [name])
    for suffix in ("json", "lock"):
        (root / RUN / f"{name}.{suffix}").unlink(missing_ok=True)
    return bool(ended) or state is not None


def known(root: Path) -> list[str]:
    """The names of programs that were started, or that something is left of; the newest first."""
    specs = sorted((root / RUN).glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    names = [path.stem for path in specs]
    return names + [n for n in dict.fromkeys(p.name for p in processes.leftovers(root)) if n not in names]


def statuses(root: Path) -> list[Status]:
    """The programs whose supervisor runs, oldest first."""
    return [status for name in reversed(known(root)) if (status := _status(root, name)) is not None]


def _status(root: Path, name: str) -> Status | None:
    state, spec = _state(root, name), _read_spec(root, name)
    if not state or spec is None:
        return None
    return Status(name, spec["address"], state["pid"], state["child"], state["since"], state["restarts"], state["exit"])


def _runs_as_asked(root: Path, program: Program) -> bool:
    if not _state(root, program.name) or _read_spec(root, program.name) != program.spec(root):
        return False
    deadline = time.monotonic() + PROVE_S
    while not (ready := program.is_ready()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return ready


def _spawn(root: Path, name: str) -> None:
    """Start the supervisor, detached, with the lock that it keeps."""
    run = root / RUN
    with (run / f"{name}.lock").open("w") as lock, log_path(root, name).open("ab") as output:
        (run / f"{name}.lock").chmod(0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            [sys.executable, "-I", "-S", supervisor.__file__, str(run), name, str(lock.fileno())],
            pass_fds=[lock.fileno()],
            start_new_session=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )


def _await_ready(root: Path, program: Program) -> None:
    deadline = time.monotonic() + program.start_timeout
    while time.monotonic() < deadline:
        state = _state(root, program.name)
        if state is None:
            raise ServiceError("lost its supervisor")
        if state.get("restarts"):
            raise ServiceError(f"ended at once ({supervisor.meaning(state['exit'])})")
        if state and program.is_ready():
            return
        time.sleep(0.05)
    raise ServiceError(f"was not ready within {program.start_timeout:g} s")


def _state(root: Path, name: str) -> dict[str, Any] | None:
    """What the supervisor of ``name`` says; empty before its first word, null where none runs."""
    try:
        with (root / RUN / f"{name}.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read()
                return json.loads(text) if text else {}
    except FileNotFoundError:
        pass
    return None


def _write_spec(root: Path, program: Program) -> None:
    """Write what the supervisor reads; only the owner may read it, as an environment can hold secrets."""
    with files.replacing(root / RUN / f"{program.name}.json") as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(program.spec(root), indent=1), encoding="utf-8")


def _read_spec(root: Path, name: str) -> dict[str, Any] | None:
    try:
        return dict(files.read_json(root / RUN / f"{name}.json"))
    except (FileNotFoundError, ValueError):  # ValueError: half a file after a crash of the machine
        return None


def _tail(path: Path, begin: int, lines: int = 12) -> str:
    """The last lines that a log got since it was ``begin`` bytes long."""
    data = path.read_bytes() if path.exists() else b""
    fresh = data[begin:] if len(data) >= begin else data  # shorter: it was rotated
    return "\n".join(f"  {line}" for line in fresh.decode(errors="replace").splitlines()[-lines:])
