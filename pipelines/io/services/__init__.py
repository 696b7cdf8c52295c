"""Programs that run beside the commands: Postgres, Redis, and whatever else a command starts and leaves running.

Each runs under a supervisor process of its own, which starts it again if it ends, and with which it ends. Nothing of
it needs root, Docker or a service manager. Files: ``data/services/run/<name>.{json,lock}``, ``logs/<name>.log``.

    settings = services.up(root, os.environ)            # Postgres and Redis, embedded or named; prints where they are
    program = services.Program(
        name="api",
        argv=(sys.executable, "-m", "uvicorn", "--factory", "serving.app:create_app", "--port", "8000"),
        env=settings.exported(),                        # secrets belong here, never into argv
        ready="http://127.0.0.1:8000/ready",
    )
    services.start(root, program)                       # returns when it is ready; nothing to do if it is already
    services.running(root)                              # [Status(name="postgres", …), …]
    services.stop(root, "api")
    services.stop_all(root)                             # newest first; also what a crash left behind
    services.purge(root)                                # removes their data, wherever it is

All take turns: a second command that starts or stops services of the same checkout waits for the first.
"""

from pathlib import Path

from pipelines.io import files
from pipelines.io.services import launch, placement
from pipelines.io.services.embedded import up
from pipelines.io.services.program import RUN, SERVICES, Program, Status, accepts

__all__ = ["Program", "Status", "accepts", "purge", "running", "start", "stop", "stop_all", "up"]


def start(root: Path, program: Program) -> bool:
    """Have ``program`` run and be ready; False if it did already. One that runs with other arguments is restarted.

    Raises:
        ServiceError: its port is taken, it ended at once, or it wasn't ready in time; the end of its log is shown.
    """
    with launch.exclusive(root):
        return launch.launch(root, program)


def stop(root: Path, name: str) -> bool:
    """Stop the program ``name`` and all that is left of it; False if nothing of it ran."""
    with launch.exclusive(root):
        return launch.halt(root, name)


def stop_all(root: Path) -> list[str]:
    """Stop everything that runs for this checkout, the newest first; returns the names."""
    if not (root / RUN).exists() and not launch.known(root):
        return []
    with launch.exclusive(root):
        return [name for name in launch.known(root) if launch.halt(root, name)]


def running(root: Path) -> list[Status]:
    """The programs that are supervised now, oldest first."""
    return launch.statuses(root)


def purge(root: Path) -> None:
    """Stop everything and remove its data, also what root keeps outside of the checkout."""
    stop_all(root)
    files.remove(placement.outside(root))
    files.remove(root / SERVICES)
