"""Have a Postgres and a Redis: those that the environment names, or embedded ones."""

import logging
import os
import random
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from errno import ENOSPC
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pipelines.core.errors import ServiceError
from pipelines.io import files
from pipelines.io.services import launch, postgres, redis_server
from pipelines.io.services.program import is_free
from pipelines.settings import SERVICES_FILE, Settings, read_env_file

log = logging.getLogger(__name__)

PORTS: Final = range(20000, 32000)
"""Embedded servers' ports: below those that the kernel gives to outgoing connections, which come and go."""
NO_SPACE: Final = "No space left on device"


def up(root: Path, environ: Mapping[str, str]) -> Settings:
    """Have Postgres (with our database and schemas) and Redis answer; returns the settings that lead to them.

    Raises:
        ServiceError: one of them doesn't; the text says what to do.
    """
    try:
        with launch.exclusive(root):
            kept = read_env_file(root / SERVICES_FILE)
            ours = _postgres(root, environ, kept)
            ours |= _redis(root, environ, kept | ours)
    except OSError as error:
        if error.errno != ENOSPC:
            raise ServiceError(f"{error.filename or root}: {error.strerror}") from None
        raise ServiceError(_no_space(root)) from None
    except ServiceError as error:
        if NO_SPACE in str(error):
            raise ServiceError(_no_space(root)) from None
        raise
    stale = sorted(name for name, value in ours.items() if environ.get(name, value) != value)
    if stale:
        log.warning('this shell has old values of %s: eval "$(make -s env)" again', ", ".join(stale))
    return Settings.load(root, {**environ, **ours})


def _postgres(root: Path, environ: Mapping[str, str], kept: dict[str, str]) -> dict[str, str]:
    """Have Postgres answer; returns the variables of the embedded one, none if a server is named.

    A shell that took over `make env` names the embedded one: its password tells.
    """
    began = time.monotonic()
    password = kept.get("POSTGRES_PASSWORD") or secrets.token_hex(16)
    if environ.get("POSTGRES_HOST") and environ.get("POSTGRES_PASSWORD") != password:
        settings = Settings.load(root, environ)
        where = f"{settings.postgres_host}:{settings.postgres_port}/{settings.postgres_db}"
        _named("POSTGRES_HOST", where, lambda: postgres.prepare(settings.postgres_conninfo, settings.postgres_db))
        return {}
    _need_linux("POSTGRES_HOST")

    def start(port: int) -> tuple[dict[str, str], bool]:
        ours = {
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(port),
            "POSTGRES_USER": postgres.ROLE,
            "POSTGRES_PASSWORD": password,
            "POSTGRES_SSLMODE": "disable",
        }
        _keep(root, kept | ours)
        return ours, postgres.start(root, port, password)

    ours, started = _on_a_port(root, "postgres", int(kept.get("POSTGRES_PORT", 0)), start)
    settings = Settings.load(root, {**environ, **ours})
    postgres.prepare(settings.postgres_conninfo, settings.postgres_db)
    _say("Postgres", f"127.0.0.1:{ours['POSTGRES_PORT']}/{settings.postgres_db}", started, began)
    return ours


def _redis(root: Path, environ: Mapping[str, str], kept: dict[str, str]) -> dict[str, str]:
    """Have Redis answer; returns the variable of the embedded one, none if a server is named."""
    began = time.monotonic()
    old = urlsplit(kept.get("REDIS_URL", ""))
    password = old.password or secrets.token_hex(16)
    named = environ.get("REDIS_URL", "")
    if named and urlsplit(named).password != password:
        address = urlsplit(named)
        where = f"{address.hostname}:{address.port or 6379}/{address.path.strip('/') or 0}"
        _named("REDIS_URL", where, lambda: redis_server.check(named))
        return {}
    _need_linux("REDIS_URL")

    def start(port: int) -> tuple[dict[str, str], bool]:
        ours = {"REDIS_URL": f"redis://:{password}@127.0.0.1:{port}/0"}
        _keep(root, kept | ours)
        return ours, redis_server.start(root, port, password)

    ours, started = _on_a_port(root, "redis", old.port, start)
    _say("Redis", f"127.0.0.1:{urlsplit(ours['REDIS_URL']).port}", started, began)
    return ours


def _on_a_port(
    root: Path, name: str, kept: int | None, start: Callable[[int], tuple[dict[str, str], bool]]
) -> tuple[dict[str, str], bool]:
    """Start a server on the port it had, or on another if that is taken by now."""
    port = kept or _free_port()
    for _ in range(3):
        runs = any(status.name == name for status in launch.statuses(root))
        if not runs:
            launch.halt(root, name)  # what a crash left may still hold the port
        if not runs and not is_free(port):
            port, taken = _free_port(), port
            log.info("%s: port %d is taken by another program: moving to %d", name, taken, port)
        try:
            return start(port)
        except ServiceError:
            if is_free(port):  # the port wasn't the reason
                raise
    raise ServiceError(f"{name}: found no free port between {PORTS.start} and {PORTS.stop}")


def _free_port() -> int:
    """A random port, so that two checkouts seldom choose the same."""
    chooser = random.SystemRandom()
    while True:
        port = chooser.choice(PORTS)
        if is_free(port):
            return port


def _named(variable: str, where: str, check: Callable[[], None]) -> None:
    try:
        check()
    except ServiceError as error:
        hint = f"{variable} names {where}; unset it to have an embedded server started instead"
        raise ServiceError(f"{error} ({hint})") from None
    log.info("%s: %s, named by %s: answers", variable.partition("_")[0].capitalize(), where, variable)


def _keep(root: Path, values: Mapping[str, str]) -> None:
    """Write services.env whole, readable for its owner only, and on the disk before anything relies on it."""
    lines = "".join(f"{name}={value}\n" for name, value in sorted(values.items()))
    text = f"# Written by `make up`: where the embedded servers are. It holds their passwords.\n{lines}"
    with files.replacing(root / SERVICES_FILE) as temporary:
        temporary.touch(mode=0o600)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def _say(name: str, where: str, started: bool, began: float) -> None:
    how = f"started in {time.monotonic() - began:.1f} s" if started else "already runs"
    log.info("%s: %s, %s", name, where, how)


def _need_linux(variable: str) -> None:
    if sys.platform != "linux":
        raise ServiceError(f"embedded servers need Linux: name a server with {variable}, or use docker compose")


def _no_space(root: Path) -> str:
    folder = root / SERVICES_FILE.parent
    return f"no space left on the disk of {folder}: free some (a new Postgres takes 60 MB) and run `make up` again"
