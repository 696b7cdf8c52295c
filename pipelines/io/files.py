"""Files that are either whole or absent, and files that lock."""

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place, on error it goes.

    Works for a file and, where the body makes a folder, for a folder: the old one is replaced whole.
    What a killed process left beside ``path`` goes first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _sweep(path)
    try:
        yield temporary
        if temporary.is_dir() and path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            path.rename(old)
            temporary.rename(path)
            remove(old)
        else:
            temporary.replace(path)
    finally:
        remove(temporary)


def _sweep(path: Path) -> None:
    """Remove the temporary files of ``path`` that this process or one that has ended made."""
    for leftover in path.parent.iterdir():
        made = re.fullmatch(rf"\.{re.escape(path.name)}\.(\d+)\.(?:tmp|old)", leftover.name)
        if made and (int(made[1]) == os.getpid() or not _lives(int(made[1]))):
            remove(leftover)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def locked(path: Path, holder: str) -> Iterator[None]:
    """Hold the lock file ``path`` alone; where another process has it, say that ``holder`` is waited for, and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for %s", holder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(path: Path | None) -> tuple[int, ...] | None:
    """What is another once the file was written again; None where it isn't there."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
