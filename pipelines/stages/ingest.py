"""Copy new files of the connected shop's log and its catalogue into the raw lake, with a manifest."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipelines.context import Context
from pipelines.core.errors import ConfigError
from pipelines.io import files, lake, sources
from pipelines.io.catalogue_client import fetch_products, listing_url
from pipelines.io.progress import progress

log = logging.getLogger(__name__)

SEEN: Final = Path("data/cache/ingest.json")
"""Hashes of files by path, size and time: of this machine only, so outside the lake."""


def run(context: Context) -> None:
    """Bring ``data/raw`` up to date; what is in it already stays as it is.

    Raises:
        ConfigError: no shop is connected, or the lake holds another shop's log.
        InputError: a file can't be read.
        ServiceError: the catalogue's API doesn't answer.
    """
    started = time.monotonic()
    connection = sources.read_connection(context.root)
    mapping = sources.load_mapping(connection.source, context.root)
    now = datetime.now(UTC)
    lake.sweep(context.root / "data/raw")
    new, rows = _ingest_log(context.root, connection, now)
    catalogue = "from the log"
    if mapping.catalogue.origin == "api":
        catalogue = "changed" if _ingest_products(context.root, connection, now) else "unchanged"
    seconds = time.monotonic() - started
    log.info("%d new files with %d rows, catalogue %s, %.1f s", new, rows, catalogue, seconds)


def _ingest_log(root: Path, connection: sources.Connection, now: datetime) -> tuple[int, int]:
    """Add the files whose content is new; returns how many, and their rows."""
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM, connection.shop)
    manifest.refuse_other(connection.shop)
    found = sources.log_files(connection.clickstream, root)
    hashes = _hashes(root, found)
    known, added = manifest.hashes(), []
    new = {hashes[path]: path for path in reversed(found) if hashes[path] not in known}  # one of equal contents
    try:
        for sha256, path in progress(sorted(new.items(), key=lambda pair: pair[1]), "files copied", len(new)):
            added.append(lake.add_file(manifest, path, sha256, now))
    finally:
        manifest.write()
    _keep_mapping(root, connection)
    return len(added), sum(entry["rows"] for entry in added)


def _hashes(root: Path, found: list[Path]) -> dict[Path, str]:
    """The SHA-256 of each file; one with the size and time of last run is not read again."""
    seen = files.read_json(root / SEEN) if (root / SEEN).exists() else {}
    stamps = {path: [(stat := path.stat()).st_size, stat.st_mtime_ns] for path in found}
    hashes = {
        path: known[2] if (known := seen.get(str(path), []))[:2] == stamp else files.sha256(path)
        for path, stamp in stamps.items()
    }
    files.write_json(root / SEEN, {str(path): [*stamps[path], hashes[path]] for path in found})
    return hashes


def _keep_mapping(root: Path, connection: sources.Connection) -> None:
    text = sources.mapping_path(connection.source, root).read_text(encoding="utf-8")
    kept = root / lake.MAPPING
    if not kept.exists() or kept.read_text(encoding="utf-8") != text:
        files.write_text(kept, text)


def _ingest_products(root: Path, connection: sources.Connection, now: datetime) -> bool:
    """Fetch the catalogue; returns whether it changed.

    Raises:
        ConfigError: the mapping wants an API and none is connected.
    """
    if connection.catalogue_url is None:
        raise ConfigError(f"source {connection.source!r} needs the catalogue's API: connect it with --catalogue-url")
    url = listing_url(connection.catalogue_url)
    manifest = lake.Manifest.read(root / lake.PRODUCTS, url)
    changed = lake.add_products(manifest, fetch_products(url), url, now)
    manifest.write()
    return changed is not None
