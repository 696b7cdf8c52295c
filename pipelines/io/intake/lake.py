"""The raw lake: what arrived, byte for byte, by day, with a manifest.

``data/raw`` may be links into DVC's cache: nothing in it is ever written in place.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import ConfigError, InputError
from pipelines.io import files
from pipelines.io.intake.copying import Copied, suffix_of

CLICKSTREAM: Final = Path("data/raw/clickstream")
PRODUCTS: Final = Path("data/raw/products")
RAW: Final = Path("data/raw")
ASIDE: Final = Path("data/shops")
"""Where the raw lakes of shops are that were connected before."""
MAPPING: Final = CLICKSTREAM / "mapping.yaml"
"""A copy of the mapping that the log came with, so that the lake says how to read itself."""
_DAY: Final = re.compile(r"(?<!\d)((?:19|20)\d\d)(-?)(\d\d)\2(\d\d)(?!\d)")
LOCK: Final = Path("data/cache/.raw-lock")
REPAIRS: Final = "repairs"
"""The name of files of repaired rows, and the mark of their entries."""
WITHDRAWN: Final = "withdrawn"
LIVE: Final = "live"
"""The name of files of live events, and the mark of their entries: ``{"span", "first", "last"}``."""


@dataclass
class Manifest:
    """What a folder of the raw lake holds: one entry a file, with path, source, sha256, bytes, rows and time.

    ``withdrawn`` (the time) marks a file that no stage reads; ``repairs: true`` one whose rows each stand for a
    quarantined row, named by ``_file`` and ``_line``; ``live`` one of live events, with their numbers.
    """

    path: Path
    source: str
    files: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers: defaultdict[str, set[int]] = defaultdict(set)
        for entry in self.files:
            self._note(entry)

    @classmethod
    def read(cls, folder: Path, source: str = "") -> "Manifest":
        """Read a folder's manifest; a new one belongs to ``source``.

        Raises:
            InputError: the manifest is damaged.
        """
        path = folder / "manifest.json"
        if not path.exists():
            return cls(path, source)
        try:
            content = files.read_json(path)
            return cls(path, content["source"], content["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error!r}): restore it, or remove data/raw to ingest anew") from None

    def write(self) -> None:
        """Write the manifest, entries by path; leaves an equal one untouched."""
        content = {"source": self.source, "files": sorted(self.files, key=lambda entry: str(entry["path"]))}
        if not self.path.exists() or files.read_json(self.path) != content:
            files.write_json(self.path, content)

    def refuse_other(self, shop: str) -> None:
        """Never mix two shops in one lake.

        Raises:
            ConfigError: the folder holds the log of another shop.
        """
        if self.source != shop:
            raise ConfigError(
                f"data/raw holds the log of {self.source!r}, but {shop!r} is connected: two shops don't mix in one "
                "lake. Run `python -m pipelines connect` again: it sets the other one's aside"
            )

    def active(self) -> list[dict[str, Any]]:
        """The entries that stages read: all but the withdrawn ones."""
        return [entry for entry in self.files if WITHDRAWN not in entry]

    def hashes(self) -> set[str]:
        """The SHA-256 of every file held, withdrawn ones included."""
        return {entry["sha256"] for entry in self.files}

    def entry(self, path: str) -> dict[str, Any] | None:
        """The entry of a path."""
        return next((entry for entry in self.files if entry["path"] == path), None)

    def add(self, entry: dict[str, Any]) -> None:
        """Enter a file."""
        self.files.append(entry)
        self._note(entry)

    def free_path(self, day: date, stem: str, suffix: str) -> str:
        """Where the next file of ``day`` goes, relative to the folder: ``YYYY/MM/DD/stem.csv``, then ``stem-2.csv``.

        A file that is there but in no entry is left from a killed run and gives way.
        """
        taken = self._numbers[f"{day:%Y/%m/%d}/{stem}"]
        number = next(n for n in count(len(taken) + 1) if n not in taken)
        return f"{day:%Y/%m/%d}/{stem}{'' if number == 1 else f'-{number}'}{suffix}"

    def _note(self, entry: dict[str, Any]) -> None:
        stem, _, number = str(entry["path"]).partition(".")[0].partition("-")
        self._numbers[stem].add(int(number) if number.isdigit() else 1)


def day_in_name(name: str) -> date | None:
    """The first date in a file's name, as YYYY-MM-DD or YYYYMMDD."""
    for year, _, month, day in _DAY.findall(name):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def add_file(
    manifest: Manifest, arrived: Copied, now: datetime, stem: str = "clickstream", **marks: Any
) -> dict[str, Any]:
    """Move a copied file to its day and enter it in ``manifest`` (which the caller writes) with ``marks``."""
    day = day_in_name(arrived.original.name) if stem != REPAIRS else None
    entry = {
        "path": manifest.free_path(day or now.date(), stem, suffix_of(arrived.original)),
        "source": arrived.original.name,
        "sha256": arrived.sha256,
        "bytes": arrived.bytes,
        "rows": arrived.rows,
        "ingested_at": now.isoformat(timespec="seconds"),
        **marks,
    }
    place = manifest.path.parent / entry["path"]
    place.parent.mkdir(parents=True, exist_ok=True)
    arrived.copy.replace(place)
    manifest.add(entry)
    return entry


def add_products(manifest: Manifest, products: list[dict[str, Any]], url: str, now: datetime) -> dict[str, Any] | None:
    """Keep a snapshot of the catalogue if it differs from the newest one; returns its entry in ``manifest``."""
    ordered = sorted(products, key=lambda product: str(product.get("id")))
    newest = max(manifest.files, key=lambda entry: str(entry["ingested_at"]), default=None)
    if newest and files.read_json(manifest.path.parent / newest["path"]) == ordered:
        return None
    relative = manifest.free_path(now.date(), "products", ".json")
    with files.replacing(manifest.path.parent / relative) as temporary:
        temporary.write_text(json.dumps(ordered, ensure_ascii=False, sort_keys=True, indent=1) + "\n", encoding="utf-8")
        entry = {
            "path": relative,
            "source": url,
            "sha256": files.sha256(temporary),
            "bytes": temporary.stat().st_size,
            "rows": len(ordered),
            "ingested_at": now.isoformat(timespec="microseconds"),
        }
    manifest.add(entry)
    return entry


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Change the raw lake alone; whoever else changes it is waited for."""
    with files.locked(root / LOCK, "whoever changes data/raw to end"):
        yield


def sweep(folder: Path) -> None:
    """Remove what a killed run left half-written."""
    for leftover in [*folder.rglob(".*.tmp"), *folder.rglob(".*.old")]:
        files.remove(leftover)


def switch(root: Path, shop: str) -> None:
    """Make ``data/raw`` the lake of ``shop``: another shop's is set aside whole, its own comes back if it was."""
    raw, aside = root / RAW, root / ASIDE
    held = Manifest.read(root / CLICKSTREAM, shop).source
    if held != shop:
        aside.mkdir(parents=True, exist_ok=True)
        raw.rename(aside / held)
    if (aside / shop).exists() and not (root / CLICKSTREAM).exists():
        files.remove(raw)
        (aside / shop).rename(raw)
