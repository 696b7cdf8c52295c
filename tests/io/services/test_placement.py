import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pipelines.io import services
from pipelines.io.services import placement, processes
from pipelines.settings import Settings

pytestmark = pytest.mark.slow  # each starts and stops processes

Command = Callable[..., subprocess.CompletedProcess[str]]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")


def add_row(root: Path) -> int:
    """Add a row to a table and count them."""
    with psycopg.connect(Settings.load(root, {}).postgres_conninfo, connect_timeout=5) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
        return int(connection.execute("SELECT count(*) FROM kept").fetchall()[0][0])


@as_root
def test_up_for_root_in_a_closed_folder_keeps_postgres_outside(checkout: Path, command: Command) -> None:
    checkout.chmod(0o700)
    first = command("up")
    assert first.returncode == 0, first.stderr
    link = checkout / "data/services/postgres"
    assert link.readlink() == placement.outside(checkout) / "postgres"
    assert stat.S_IMODE(checkout.stat().st_mode) == 0o700
    assert stat.S_IMODE(link.stat().st_mode) == 0o700
    assert add_row(checkout) == 1
    command("down")
    assert processes.leftovers(checkout) == []
    assert command("up").returncode == 0
    assert add_row(checkout) == 2
    assert command("down", "--purge").returncode == 0
    assert not placement.outside(checkout).exists()
    assert not link.is_symlink()


@as_root
def test_programs_that_the_user_cannot_reach_are_copied(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = checkout / "closed"
    package = placement.package_folder(placement.PACKAGE)
    shutil.copytree(package / placement.INSTALLATION, closed / placement.PACKAGE / placement.INSTALLATION)
    shutil.copytree(package.with_name(f"{placement.PACKAGE}.libs"), closed / f"{placement.PACKAGE}.libs")
    closed.chmod(0o700)
    monkeypatch.setattr(placement, "package_folder", lambda name: closed / name)
    place = placement.place(checkout)
    assert placement.outside(checkout) in place.bin.parents
    assert subprocess.run([place.bin / "postgres", "--version"], cwd="/", check=True, **place.as_user)
    assert placement.place(checkout) == place


@as_root
def test_moved_checkout_keeps_its_data_and_a_copy_starts_anew(checkout: Path) -> None:
    roots = [checkout / name for name in ("one", "two", "three")]
    try:
        for root in roots[:1]:
            root.mkdir(mode=0o700)
            data = placement.place(root).data
            data.mkdir()
            (data / "PG_VERSION").write_text("18\n")
        roots[0].rename(roots[1])
        assert (placement.place(roots[1]).data / "PG_VERSION").exists()
        shutil.copytree(roots[1], roots[2], symlinks=True)
        assert not placement.place(roots[2]).data.exists()
        assert (placement.place(roots[1]).data / "PG_VERSION").exists()
    finally:
        for root in roots:
            shutil.rmtree(placement.outside(root), ignore_errors=True)


@as_root  # every other test is this one when an ordinary user runs them
def test_up_and_down_work_for_an_ordinary_user(checkout: Path, environ: dict[str, str]) -> None:
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if not Path(python).exists():
        pytest.skip(f"needs an interpreter that every user may run: {python}")
    packages = Path(psycopg.__file__).parents[1]
    environ |= {"PYTHONPATH": f"{environ['PYTHONPATH']}:{packages}", "HOME": "/nonexistent"}
    root = checkout / "home"
    root.mkdir(mode=0o700)
    os.chown(root, 65534, 65534)

    def run(command: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", f'cd "$1" && exec {python} -m pipelines {command}', "sh", root],
            env=environ,
            cwd="/",
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr

    try:
        assert run("up").count("started in") == 2
        assert root.joinpath("data/services/postgres").stat().st_uid == 65534
        assert add_row(root) == 1
        assert run("up").count("already runs") == 2
        assert "down: stopped redis, postgres" in run("down")
        assert processes.leftovers(root) == []
    finally:
        services.stop_all(root)
