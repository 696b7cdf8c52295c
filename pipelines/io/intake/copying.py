"""Files of a log on their way into the lake: checked, and copied, hashed and counted in one pass."""

import errno
import hashlib
import io
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow.parquet as pq
from isal import igzip

from pipelines.core.errors import InputError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io import files
from pipelines.io.intake import records
from pipelines.io.intake.record_tables import UNREADABLE
from pipelines.io.parallel import ordered

CHUNK: Final = 1 << 20
LONGEST_HEADER: Final = 1 << 20
FORMS: Final = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"PK\x03\x04": "a zip archive or a spreadsheet"}
"""How files begin that are no plain text."""
DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Copied:
    """A file's copy beside the lake.

    ``rows``: those of Parquet, the lines after the header of CSV. ``time_ns``: when the original was last changed.
    """

    original: Path
    copy: Path
    sha256: str
    bytes: int
    rows: int
    time_ns: int


@dataclass(frozen=True)
class Refused:
    """A file that the lake doesn't take; ``reason`` names it."""

    original: Path
    reason: str


def suffix_of(path: Path) -> str:
    """``.csv``, ``.csv.gz`` or ``.parquet``."""
    return ".csv.gz" if path.name.endswith(".csv.gz") else path.suffix


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A hidden path in ``folder`` for a copy; what is still there at the end goes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{os.getpid()}.tmp"
    try:
        yield path
    finally:
        files.remove(path)


def copy_all(originals: list[Path], folder: Path, mapping: SourceMapping) -> Generator[Copied | Refused, None, None]:
    """Check and copy files side by side on the processors there are; they come out in their order.

    The copies are hidden files of ``folder``, which the caller moves or removes. Memory is bounded by ``CHUNK``, not by
    the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / f".{number}.{os.getpid()}.tmp" for number in range(len(originals))]
    try:
        yield from ordered(partial(_copy_one, *pair, mapping) for pair in zip(originals, copies, strict=True))
    finally:
        for path in copies:
            files.remove(path)


def _copy_one(original: Path, path: Path, mapping: SourceMapping) -> Copied | Refused:
    try:
        return copy(original, path, mapping)
    except InputError as error:
        files.remove(path)
        return Refused(original, str(error))


def check(path: Path, mapping: SourceMapping) -> None:
    """See that a file is what its name says and begins with the columns that ``mapping`` needs.

    Raises:
        InputError: it isn't, or it is empty; the text names file and column.
    """
    suffix = suffix_of(path)
    try:
        with path.open("rb") as file:
            first = file.read(4)
        if not first:
            raise InputError(f"{path} is empty (0 bytes)")
        form = next((name for magic, name in FORMS.items() if first.startswith(magic)), "plain text")
        if form != {".csv.gz": "gzip", ".parquet": "Parquet"}.get(suffix, "plain text"):
            raise InputError(f"{path} is {form}, not what {suffix} says")
        if suffix != ".parquet":
            _check_first_line(path, suffix)
        records.check_header(path, mapping)
    except UNREADABLE as error:
        raise InputError(f"{path} can't be read: {_why(error)}") from None


def _check_first_line(path: Path, suffix: str) -> None:
    with igzip.open(path) if suffix == ".csv.gz" else path.open("rb") as file:
        line = file.readline(LONGEST_HEADER)
    if not line:
        raise InputError(f"{path} is empty (gzip of nothing)")
    if len(line) == LONGEST_HEADER:
        raise InputError(f"{path}: the first line takes more than {LONGEST_HEADER} bytes, so it is no header")


def copy(original: Path, path: Path, mapping: SourceMapping) -> Copied:
    """Check a file, and copy it to ``path``; it is read to its end on the way.

    Raises:
        InputError: it can't be used, or it changed meanwhile; the text names file and column.
    """
    before = _stamp(original)
    check(original, mapping)
    with path.open("wb") as target:
        try:
            with original.open("rb") as source:
                tee = _Tee(source, target)
                lines = _count_lines(tee, suffix_of(original))
            target.flush()
            rows = _count_parquet(path) if suffix_of(original) == ".parquet" else max(0, lines - 1)
        except UNREADABLE as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise
            raise InputError(f"{original} can't be read to its end: {_why(error)}") from None
    if _stamp(original) != before:
        raise InputError(f"{original} changed while it was copied: is it still being written?")
    return Copied(original, path, tee.sha256.hexdigest(), tee.bytes, rows, before.st_mtime_ns)


def _stamp(path: Path) -> "_Stamp":
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path} can't be read: {_why(error)}") from None
    return _Stamp(stat.st_ino, stat.st_size, stat.st_mtime_ns)


class _Stamp(NamedTuple):
    st_ino: int
    st_size: int
    st_mtime_ns: int


class _Tee(io.RawIOBase):
    """A file that is copied and hashed as it is read."""

    def __init__(self, source: BufferedReader, target: BufferedWriter) -> None:
        self._source, self._target = source, target
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._source.readinto(buffer)
        data = memoryview(buffer)[:size]
        self.sha256.update(data)
        self._target.write(data)
        self.bytes += size
        return size


def _count_lines(tee: _Tee, suffix: str) -> int:
    """Read a file to its end; its lines, the last one without a line break included."""
    lines, last = 0, b"\n"
    text = igzip.IGzipFile(fileobj=tee) if suffix == ".csv.gz" else tee
    while chunk := text.read(CHUNK):
        lines, last = lines + chunk.count(b"\n"), chunk[-1:]
    while tee.read(CHUNK):  # what a reader of gzip may leave after its end
        pass
    return lines + (last != b"\n")


def _count_parquet(path: Path) -> int:
    """Rows of a Parquet file, each decoded once: a file with a sound end may be damaged before it."""
    return sum(len(batch) for batch in pq.ParquetFile(path).iter_batches())


def _why(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return "it ends too early" if isinstance(error, EOFError) else text
