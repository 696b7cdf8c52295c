import os
import secrets
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from pipelines.core.errors import MAY_PASS
from pipelines.io import services
from pipelines.io.services import Status, placement, processes
from pipelines.settings import SERVICES_FILE, Settings, read_env_file

pytestmark = pytest.mark.slow  # each starts and stops processes

Command = Callable[..., subprocess.CompletedProcess[str]]


def settings(root: Path) -> Settings:
    return Settings.load(root, {})


def status(root: Path, name: str) -> Status:
    (found,) = (s for s in services.running(root) if s.name == name)
    return found


def execute(root: Path, sql: str) -> None:
    with psycopg.connect(settings(root).postgres_conninfo, connect_timeout=5) as connection:
        connection.execute(sql.encode())


def query(root: Path, sql: str) -> str:
    with psycopg.connect(settings(root).postgres_conninfo, connect_timeout=5) as connection:
        return str(connection.execute(sql.encode()).fetchall()[0][0])


def until(true: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def answers(root: Path) -> bool:
    try:
        return query(root, "SELECT 1") == "1"
    except psycopg.OperationalError:
        return False


def test_life_of_the_embedded_servers(checkout: Path, command: Command) -> None:
    """From nothing, over every kind of crash, to nothing."""
    first = command("up")
    assert first.returncode == 0, first.stderr
    assert query(checkout, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('features', 'live')") == "2"
    assert query(checkout, "SELECT current_setting('fsync') || current_setting('timezone')") == "onUTC"
    with redis.Redis.from_url(settings(checkout).redis) as client:
        client.set("colour", "blue")
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    before = services.running(checkout)
    assert [s.name for s in before] == ["postgres", "redis"]

    again = command("up")
    assert again.stderr.count("already runs") == 2, again.stderr
    assert services.running(checkout) == before

    postgres = status(checkout, "postgres")
    os.kill(postgres.pid or 0, signal.SIGKILL)
    assert until(lambda: status(checkout, "postgres").restarts == 1 and answers(checkout))

    postgres = status(checkout, "postgres")
    os.kill(postgres.supervisor, signal.SIGKILL)
    assert until(lambda: not processes.alive(postgres.pid or 0))
    assert command("up").returncode == 0
    assert answers(checkout)
    assert status(checkout, "redis").pid == next(s.pid for s in before if s.name == "redis")

    for running in services.running(checkout):
        os.kill(running.supervisor, signal.SIGKILL)
    down = command("down")
    assert down.returncode == 0, down.stderr
    assert processes.leftovers(checkout) == []
    assert str(checkout) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "down: nothing runs" in command("down").stderr

    # what was written is kept
    assert command("up").returncode == 0
    with redis.Redis.from_url(settings(checkout).redis) as client:
        assert client.get("colour") == b"blue"
    assert "down: stopped redis, postgres" in command("down").stderr
    assert "shut down" in (checkout / "logs/postgres.log").read_text().splitlines()[-1]


def test_up_repairs_and_moves(checkout: Path, command: Command) -> None:
    """One data folder, damaged in every way that `up` must mend."""
    command("up")
    kept = read_env_file(checkout / SERVICES_FILE)
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in (checkout / SERVICES_FILE, *run_files(checkout)))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(settings(checkout).model_copy(update={"postgres_password": "x"}).postgres_conninfo)
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=status_port(checkout, "redis")) as client:
        client.ping()
    execute(checkout, "CREATE TABLE kept AS SELECT 7 AS n")

    # the passwords are lost while the servers run
    (checkout / SERVICES_FILE).unlink()
    assert "setting the password anew" in command("up").stderr
    assert query(checkout, "SELECT n FROM kept") == "7"
    with redis.Redis.from_url(settings(checkout).redis) as client:
        assert client.ping()
    assert read_env_file(checkout / SERVICES_FILE)["POSTGRES_PASSWORD"] != kept["POSTGRES_PASSWORD"]

    # another program took the port, and a pid file names a stranger
    services.stop_all(checkout)
    port = settings(checkout).postgres_port
    pid_file = (checkout / "data/services/postgres").resolve() / "postmaster.pid"
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **placement.place(checkout).as_user)
    pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        moved = command("up")
    assert f"postgres: port {port} is taken by another program: moving to " in moved.stderr
    assert f"removing a stale {pid_file}" in moved.stderr
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    assert settings(checkout).postgres_port != port
    assert query(checkout, "SELECT n FROM kept") == "7"

    # a shell that holds the old port
    old = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(port)}
    again = command("up", **old, POSTGRES_PASSWORD=settings(checkout).postgres_password)
    assert 'this shell has old values of POSTGRES_PORT: eval "$(make -s env)" again' in again.stderr

    # another major version
    services.stop_all(checkout)
    (pid_file.parent / "PG_VERSION").write_text("17\n")
    refused = command("up")
    assert refused.returncode == MAY_PASS
    assert f"{pid_file.parent} was made by Postgres 17, this is 18: move it away" in refused.stderr


def run_files(root: Path) -> list[Path]:
    return [p for p in (root / "data/services/run").iterdir() if p.suffix in {".json", ".lock"}]


def status_port(root: Path, name: str) -> int:
    return int(status(root, name).address.rpartition(":")[2])


def test_up_twice_at_once_starts_one(checkout: Path, command: Command) -> None:
    unfinished = checkout / "data/services/.postgres.new.123"
    (unfinished / "data").mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(command, ["up", "up"]))
    assert [d.returncode for d in done] == [0, 0], done
    said = "".join(d.stderr for d in done)
    assert said.count("already runs") == 2
    assert said.count("started in") == 2
    assert not unfinished.exists()


def test_up_stops_a_postgres_without_supervisor(checkout: Path, command: Command) -> None:
    command("up")
    place = placement.place(checkout)
    services.stop(checkout, "postgres")
    stray = subprocess.Popen(
        [place.bin / "postgres", "-D", place.data, "-c", "unix_socket_directories=", "-p", "19999"],
        cwd="/",
        stderr=subprocess.DEVNULL,
        **place.as_user,
    )
    assert until((place.data / "postmaster.pid").exists)
    assert command("up").returncode == 0
    assert stray.wait(10) == 0
    assert answers(checkout)


@pytest.fixture
def small_disk(checkout: Path) -> Iterator[Path]:
    folder = checkout / "data"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "recomart-test", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root and the permission to mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_up_on_a_full_disk_says_so(small_disk: Path, command: Command) -> None:
    done = command("up")
    assert done.returncode == MAY_PASS
    assert done.stderr.splitlines()[-1].startswith(f"up: no space left on the disk of {small_disk}/services: free some")
    assert not list((small_disk / "services").glob("*postgres*"))


def test_up_with_named_servers_checks_them(checkout: Path, command: Command) -> None:
    server = {
        "POSTGRES_HOST": os.environ.get("POSTGRES_HOST", "127.0.0.1"),
        "POSTGRES_PORT": os.environ.get("POSTGRES_PORT", "5432"),
        "POSTGRES_USER": os.environ.get("POSTGRES_USER", "postgres"),
        "POSTGRES_PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
        "POSTGRES_DB": f"recomart_test_{secrets.token_hex(4)}",
        "REDIS_URL": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
    }
    named = Settings.load(checkout, server)
    administrator = named.model_copy(update={"postgres_db": "postgres"}).postgres_conninfo
    try:
        psycopg.connect(administrator, connect_timeout=2).close()
        redis.Redis.from_url(named.redis, socket_connect_timeout=2).ping()
    except (psycopg.OperationalError, redis.RedisError):
        pytest.skip("no Postgres and Redis beside the embedded ones")
    try:
        done = command("up", **server)
        assert done.returncode == 0, done.stderr
        assert f"created the database {named.postgres_db}" in done.stderr
        assert "named by POSTGRES_HOST: answers" in done.stderr
        with psycopg.connect(named.postgres_conninfo) as connection:
            schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname IN ('features', 'live')")
            assert len(schemas.fetchall()) == 2
        assert services.running(checkout) == []
        assert not (checkout / SERVICES_FILE).exists()
        assert "nothing runs" in command("down", **server).stderr
    finally:
        with psycopg.connect(administrator, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {named.postgres_db}".encode())


def test_up_with_a_named_server_that_does_not_answer_says_how_to_go_on(command: Command) -> None:
    done = command("up", POSTGRES_HOST="127.0.0.1", POSTGRES_PORT="1")
    assert done.returncode == MAY_PASS
    assert "Connection refused" in done.stderr
    assert "(POSTGRES_HOST names 127.0.0.1:1/recomart; unset it to have an embedded server started instead)" in (
        done.stderr
    )
