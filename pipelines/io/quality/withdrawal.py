"""Take files of the raw lake out of what the stages read, and put them back. Their bytes stay where they are."""

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import InputError
from pipelines.io import files
from pipelines.io.intake import copying, lake, sources
from pipelines.io.quality import repairs

FOLDERS: Final = (lake.CLICKSTREAM, lake.PRODUCTS)


def withdraw(root: Path, given: str, now: datetime) -> str:
    """Withdraw the file ``given``; returns what was done. The caller holds ``lake.alone``.

    ``given`` is a path of a manifest, a file below data/raw, or a file of the connected log. If ingest refused that
    one, its bytes come into the lake as withdrawn, so that nothing asks for it again.

    Raises:
        InputError: there is no such file.
    """
    stamp = now.isoformat(timespec="seconds")
    found = find(root, given)
    if found is None:
        return _keep_out(root, _of_log(root, given), now, stamp)
    manifest, entry = found
    if lake.WITHDRAWN in entry:
        return f"{entry['path']} was withdrawn before, on {entry[lake.WITHDRAWN]}"
    entry[lake.WITHDRAWN] = stamp
    manifest.write()
    return f"{entry['path']} ({entry['source']}, {entry['rows']} rows) is withdrawn"


def restore(root: Path, given: str) -> str:
    """Let the stages read a withdrawn file again; returns what was done. The caller holds ``lake.alone``.

    Raises:
        InputError: there is no such file, it isn't withdrawn, it doesn't fit the mapping, or it repairs rows that have
            another repair by now.
    """
    found = find(root, given)
    if found is None:
        raise InputError(f"{given} is in no manifest of {lake.RAW}")
    manifest, entry = found
    if lake.WITHDRAWN not in entry:
        raise InputError(f"{entry['path']} isn't withdrawn")
    if entry.get(lake.REPAIRS):
        _refuse_second(manifest, entry)
    elif manifest.path.parent == root / lake.CLICKSTREAM:
        entry["rows"] = _rows(root, manifest.path.parent / entry["path"], lake.LIVE in entry)
    del entry[lake.WITHDRAWN]
    manifest.write()
    return f"{entry['path']} ({entry['source']}, {entry['rows']} rows) is read again"


def find(root: Path, given: str) -> tuple[lake.Manifest, dict[str, Any]] | None:
    """The entry of a file that the lake holds, with its manifest."""
    place = Path(os.path.abspath(root / given))  # noqa: PTH100  not resolved: a file of the lake may be a link
    for folder in FOLDERS:
        manifest = lake.Manifest.read(root / folder)
        inside = str(place.relative_to(root / folder)) if place.is_relative_to(root / folder) else given
        if entry := manifest.entry(inside):
            return manifest, entry
    log = lake.Manifest.read(root / lake.CLICKSTREAM)
    if place.is_file():
        sha256 = files.sha256(place)
        return next(((log, entry) for entry in log.files if entry["sha256"] == sha256), None)
    return None


def _of_log(root: Path, given: str) -> Path:
    """The path of a file of the connected log.

    Raises:
        InputError: it is none.
    """
    place = (root / given).resolve()
    if place not in sources.log_files(sources.read_connection(root).clickstream, root):
        raise InputError(f"{given} is in no manifest of {lake.RAW}, and is no file of the connected log")
    return place


def _keep_out(root: Path, original: Path, now: datetime, stamp: str) -> str:
    shop = sources.read_connection(root).shop
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM, shop)
    manifest.refuse_other(shop)
    with copying.scratch(root / lake.CLICKSTREAM) as copy:
        shutil.copyfile(original, copy)
        arrived = copying.Copied(original, copy, files.sha256(copy), copy.stat().st_size, rows=0, time_ns=0)
        entry = lake.add_file(manifest, arrived, now, **{lake.WITHDRAWN: stamp})
        manifest.write()
    return f"{original} is left out from now on; its bytes are kept in {lake.CLICKSTREAM / entry['path']}"


def _refuse_second(manifest: lake.Manifest, entry: dict[str, Any]) -> None:
    """No row has two repairs."""
    others = repairs.repaired(manifest)
    for place in repairs.read(manifest, entry):
        if other := others.get(place):
            raise InputError(f"{entry['path']} repairs {place[0]}:{place[1]}, which {other.where} repairs by now")


def _rows(root: Path, path: Path, live: bool) -> int:
    """The rows of a file that fits the connected mapping.

    Raises:
        InputError: it doesn't.
    """
    mapping = sources.load_mapping(sources.read_connection(root).source, root)
    with copying.scratch(root / lake.CLICKSTREAM) as copy:
        return copying.copy(path, copy, mapping.live() if live else mapping).rows
