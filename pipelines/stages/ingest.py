"""Copy new files of the connected shop's log, its live events and its catalogue into the raw lake, with a manifest.

A file that can't be used is refused, and all others still come in.
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipelines.context import Context
from pipelines.core.errors import ConfigError, InputError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io import files
from pipelines.io.intake import copying, lake, sources
from pipelines.io.intake.catalogue_client import fetch_products, listing_url
from pipelines.io.live import erasure, live_intake, live_trim
from pipelines.io.progress import progress

log = logging.getLogger(__name__)

SEEN: Final = Path("data/cache/ingest.json")
"""Hashes of files by path, size and time: of this machine only, so outside the lake."""
PAGES: Final = Path("data/cache/catalogue")
"""Pages of the catalogue: of this machine only, too."""
SHOWN: Final = 5
"""Refused files that an error lists; the log has them all."""
CHECKPOINT_S: Final = 1.0
"""How much work a kill may cost."""

Wanted = Callable[[date | None], bool]
"""Whether files of a day (None: no date in the name) shall come in."""


@dataclass
class Arrivals:
    """What became of the files that were found."""

    found: int
    new: list[dict[str, Any]] = field(default_factory=list)
    refused: list[copying.Refused] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of the new files."""
        return sum(entry["rows"] for entry in self.new)

    def complain(self) -> None:
        """Name the refused files.

        Raises:
            InputError: there are some.
        """
        if not self.refused:
            return
        lines = [f"refused {len(self.refused)} of {self.found} files, the others are in the lake:"]
        lines += [f"  {refused.reason}" for refused in self.refused[:SHOWN]]
        lines += [f"  and {len(self.refused) - SHOWN} more: see logs/"] if len(self.refused) > SHOWN else []
        lines.append(
            "  repair or remove each, or have it left out: `python -m pipelines withdraw FILE`. Then run it again"
        )
        raise InputError("\n".join(lines))


def run(context: Context) -> None:
    """Bring ``data/raw`` up to date; what is in it already stays as it is.

    Files whose name dates them before the connection's ``since`` stay out.

    Raises:
        ConfigError: no shop is connected, or the lake holds another shop's log.
        InputError: files are refused; the text names each, or the first ones. All others came in.
        ServiceError: Postgres or the catalogue's API doesn't answer.
    """
    started = time.monotonic()
    connection = sources.read_connection(context.root)
    mapping = sources.load_mapping(connection.source, context.root)
    since = connection.since
    with lake.alone(context.root):
        erasures = erasure.into_lake(context.settings)
        arrivals = _ingest_log(context.root, connection, mapping, lambda day: not (since and day and day < since))
        events = _ingest_live(context, connection)
        catalogue = "from the log"
        if mapping.catalogue.origin == "api":
            catalogue = "changed" if _ingest_products(context, connection) else "unchanged"
    if erasures:
        log.info("%d erased users more, whose rows are left out from now on", erasures)
    seconds = time.monotonic() - started
    log.info(
        "%d new files with %d rows, %d live events, catalogue %s, %.1f s",
        *(len(arrivals.new), arrivals.rows, events, catalogue, seconds),
    )
    arrivals.complain()


def ingest_days(context: Context, start: date, end: date) -> int:
    """Bring in the files dated ``start`` to ``end`` (both included), also from before ``since``; returns how many.

    Raises:
        ConfigError: no shop is connected, or the lake holds another shop's log.
        InputError: files are refused; the text names each, or the first ones. All others came in.
    """
    connection = sources.read_connection(context.root)
    mapping = sources.load_mapping(connection.source, context.root)
    with lake.alone(context.root):
        arrivals = _ingest_log(context.root, connection, mapping, lambda day: day is not None and start <= day <= end)
    log.info("%s to %s: %d new files with %d rows", start, end, len(arrivals.new), arrivals.rows)
    arrivals.complain()
    return len(arrivals.new)


def _ingest_log(root: Path, connection: sources.Connection, mapping: SourceMapping, wanted: Wanted) -> Arrivals:
    """Add the wanted files whose content is new, in order of their paths."""
    folder = root / lake.CLICKSTREAM
    lake.sweep(root / lake.RAW)
    manifest = lake.Manifest.read(folder, connection.shop)
    manifest.refuse_other(connection.shop)
    found = [path for path in sources.log_files(connection.clickstream, root) if wanted(lake.day_in_name(path.name))]
    seen, known, arrivals = _Seen(root), manifest.hashes(), Arrivals(len(found))
    unknown = sorted(path for path in found if seen.hash(path) not in known)
    now = datetime.now(UTC)
    saved = time.monotonic()
    try:
        with closing(copying.copy_all(unknown, folder, mapping)) as copied:
            for arrived in progress(copied, "files copied", len(unknown)):
                if isinstance(arrived, copying.Refused):
                    if seen.read(arrived.original) not in known:  # else it was withdrawn
                        log.debug("refused: %s", arrived.reason)
                        arrivals.refused.append(arrived)
                    continue
                if arrived.sha256 not in known:
                    arrivals.new.append(lake.add_file(manifest, arrived, now))
                    known.add(arrived.sha256)
                seen.remember(arrived.original, arrived.bytes, arrived.time_ns, arrived.sha256)
                if time.monotonic() - saved > CHECKPOINT_S:
                    _save(manifest, seen)
                    saved = time.monotonic()
    finally:
        _save(manifest, seen)
    _keep_mapping(root, connection)
    return arrivals


def _ingest_live(context: Context, connection: sources.Connection) -> int:
    """Add the events that the service took since the last time, and let go of old ones; returns how many came."""
    manifest, now = lake.Manifest.read(context.root / lake.CLICKSTREAM, connection.shop), datetime.now(UTC)
    taken = live_intake.take(context.settings, manifest, now)
    if any(lake.LIVE in entry for entry in manifest.files):
        keep_days = context.params.live.keep_days
        if gone := live_trim.trim(context.settings, manifest, now - timedelta(days=keep_days)):
            log.info("%d live events older than %d days are in the lake only now", gone, keep_days)
    return sum(entry["rows"] for entry in taken)


def _save(manifest: lake.Manifest, seen: "_Seen") -> None:
    manifest.write()
    seen.write()


class _Seen:
    """The hashes of files that were read before, as long as their size and time stay the same."""

    def __init__(self, root: Path) -> None:
        self._path = root / SEEN
        self._hashes: dict[str, list[Any]] = files.read_json(self._path) if self._path.exists() else {}

    def hash(self, path: Path) -> str | None:
        """The SHA-256 of a file's content; None where it must be read to know."""
        size, time_ns, sha256 = self._hashes.get(str(path), (None, None, None))
        try:
            stat = path.stat()
        except OSError:  # whoever reads it will say why it can't be
            return None
        return sha256 if (stat.st_size, stat.st_mtime_ns) == (size, time_ns) else None

    def read(self, path: Path) -> str | None:
        """The SHA-256 of a file's content, read if need be; None where it can't be."""
        try:
            stat = path.stat()
            sha256 = self.hash(path) or files.sha256(path)
        except OSError:
            return None
        self.remember(path, stat.st_size, stat.st_mtime_ns, sha256)
        return sha256

    def remember(self, path: Path, size: int, time_ns: int, sha256: str) -> None:
        """Keep what a file's content is as long as it has this size and time."""
        self._hashes[str(path)] = [size, time_ns, sha256]

    def write(self) -> None:
        """Write what is known."""
        files.write_json(self._path, self._hashes)


def _keep_mapping(root: Path, connection: sources.Connection) -> None:
    text = sources.mapping_path(connection.source, root).read_text(encoding="utf-8")
    kept = root / lake.MAPPING
    if not kept.exists() or kept.read_text(encoding="utf-8") != text:
        files.write_text(kept, text)


def _ingest_products(context: Context, connection: sources.Connection) -> bool:
    """Fetch the catalogue; returns whether it changed.

    Raises:
        ConfigError: the mapping wants an API and none is connected.
    """
    if connection.catalogue_url is None:
        raise ConfigError(f"source {connection.source!r} needs the catalogue's API: connect it with --catalogue-url")
    url, root = listing_url(connection.catalogue_url), context.root
    token = context.settings.catalogue_token
    products = fetch_products(url, paging=connection.catalogue_paging, token=token, cache=root / PAGES)
    manifest = lake.Manifest.read(root / lake.PRODUCTS, url)
    changed = lake.add_products(manifest, products, url, datetime.now(UTC))
    manifest.write()
    return changed is not None
