"""The embedded Postgres: make its data folder, start it, and prepare databases, on any server."""

import logging
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from pipelines.core.errors import ServiceError
from pipelines.io import files
from pipelines.io.services import launch, processes
from pipelines.io.services.placement import Place, place
from pipelines.io.services.program import MARK, RUN, Program

log = logging.getLogger(__name__)

MAJOR: Final = "18"
ROLE: Final = "recomart"
SCHEMAS: Final = ("features", "live")
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a deep checkout's path would be too long for one (107 bytes)
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    # a batch load on two cores; every commit still reaches the disk
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "effective_cache_size": "2GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    # a container's /dev/shm is often 64 MB: parallel queries use memory set aside at the start, then files
    "dynamic_shared_memory_type": "mmap",
    "min_dynamic_shared_memory": "64MB",
}
ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC"}


def start(root: Path, port: int, password: str) -> bool:
    """Have the embedded Postgres run on ``port``, its role ``recomart`` with ``password``; False if it did already.

    Raises:
        ServiceError: it can't be initialised or started; the text says why and what to do.
    """
    where = place(root)
    if _has_data(where):
        _check_version(where.data)
    else:
        processes.end(root, ["postgres"])
        _initialise(root, where, password)
    program = _program(where, port)
    _drop_stale_pid(root, where)
    started = launch.launch(root, program)
    if not _knows_password(port, password):
        log.info("postgres: services.env was lost or changed: setting the password anew")
        launch.halt(root, program.name)
        _set_password(where, password)
        launch.launch(root, program)
        started = True
    return started


def prepare(conninfo: str, database: str) -> None:
    """Have ``database`` and our schemas in it exist on the server that ``conninfo`` leads to.

    Raises:
        ServiceError: the server doesn't answer, or doesn't permit it.
    """
    import psycopg

    try:
        try:
            connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError as error:
            if f'database "{database}" does not exist' not in str(error):
                raise
            _create_database(conninfo, database)
            connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=5)
        with connection:
            have = {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}
            for schema in SCHEMAS:
                if schema not in have:
                    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise ServiceError(f"Postgres: {reason}") from None


def _create_database(conninfo: str, database: str) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(conninfo, dbname="postgres", autocommit=True, connect_timeout=5) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    log.info("postgres: created the database %s", database)


def _program(where: Place, port: int) -> Program:
    settings = SETTINGS | {"port": str(port)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        argv=(str(where.bin / "postgres"), "-D", str(where.data), *options),
        ready=lambda: _accepts(port),
        env=ENVIRONMENT,
        cwd=Path("/"),
        address=f"127.0.0.1:{port}",
        user=where.user,
        stop_signal=signal.SIGINT,  # disconnect clients, write everything, end
        stop_timeout=60,
        orphan_signal=signal.SIGINT,
        start_timeout=300,  # after a crash it first replays up to max_wal_size of its log
    )


def _has_data(where: Place) -> bool:
    try:
        return any(where.data.iterdir())
    except FileNotFoundError:
        return False
    except PermissionError:
        raise ServiceError(f"{where.data} belongs to another user: run this as that user") from None


def _check_version(data: Path) -> None:
    file = data / "PG_VERSION"
    found = file.read_text(encoding="utf-8").strip() if file.exists() else None
    if found != MAJOR:
        what = "is not a Postgres data folder" if found is None else f"was made by Postgres {found}, this is {MAJOR}"
        raise ServiceError(
            f"{data} {what}: move it away and run `make up` again, which starts an empty one "
            "(`make pipeline` fills it; events received live stay in the old folder)"
        )


def _initialise(root: Path, where: Place, password: str) -> None:
    """Make the data folder, whole or not at all."""
    began = time.monotonic()
    for stale in where.data.parent.glob(".postgres.new.*"):  # from an interrupted run
        files.remove(stale)
    work = where.data.with_name(f".postgres.new.{os.getpid()}")
    try:
        work.mkdir(mode=0o700)
        (work / "password").write_text(password, encoding="utf-8")
        if where.user is not None:
            os.chown(work, *where.user)
        _initdb(root, where, work)
        if where.data.exists():
            where.data.rmdir()  # empty: see _has_data
        (work / "data").rename(where.data)
    finally:
        files.remove(work)
    log.info("postgres: made its data folder %s (%.1f s)", where.data, time.monotonic() - began)


def _initdb(root: Path, where: Place, work: Path) -> None:
    command = [
        str(where.bin / "initdb"),
        f"--pgdata={work / 'data'}",
        f"--pwfile={work / 'password'}",
        f"--username={ROLE}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",  # every machine has it; the built-in provider adds Unicode, without the machine's locales
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]
    environment = os.environ | ENVIRONMENT | {MARK: str(root / RUN / "postgres")}
    done = subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, check=False, **where.as_user
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if ": error: " in line or "FATAL" in line or "ERROR" in line]
        raise ServiceError(
            f"postgres: its data folder can't be made: {(lines or done.stderr.splitlines() or ['?'])[0]}"
        )


def _drop_stale_pid(root: Path, where: Place) -> None:
    """Remove a postmaster.pid whose number is now another program's: Postgres would take that for itself."""
    file = where.data / "postmaster.pid"
    if not file.exists() or processes.leftovers(root, ["postgres"]):
        return
    first = file.read_text(encoding="utf-8", errors="replace").split("\n")[0].strip()
    if not first.isdigit() or processes.alive(int(first)):
        log.info("postgres: removing a stale %s", file)
        file.unlink()


def _set_password(where: Place, password: str) -> None:
    """Set the role's password while the server is off. ``password`` is hexadecimal."""
    done = subprocess.run(
        [str(where.bin / "postgres"), "--single", "-D", str(where.data), "postgres"],
        input=f"ALTER ROLE {ROLE} PASSWORD '{password}'\n",
        cwd="/",
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        **where.as_user,
    )
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise ServiceError(f"postgres: the password of {ROLE} can't be set: {done.stderr.strip()}")


def _accepts(port: int) -> bool:
    from psycopg import pq

    return pq.PGconn.ping(f"host=127.0.0.1 port={port} connect_timeout=2".encode()) == pq.Ping.OK


def _knows_password(port: int, password: str) -> bool:
    import psycopg

    try:
        psycopg.connect(
            host="127.0.0.1", port=port, user=ROLE, password=password, dbname="postgres", connect_timeout=5
        ).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            return False
        raise ServiceError(f"Postgres: {error}") from None
    return True
