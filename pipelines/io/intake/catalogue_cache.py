"""The pages of a catalogue that came last time, so that only what is new or missing is fetched."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.io import files

YOUNG_S: Final = 3600.0
"""How long a page without an ETag stands in for itself in the next run of a fetch that didn't end."""


@dataclass(frozen=True)
class KeptPage:
    """An answer as it came: its content, the address it came from, its ETag and its ``Link`` header."""

    body: Any
    base: str
    etag: str | None
    link: str | None


class Kept:
    """The kept pages of one list below a folder, a file each. Any file may go at any time.

    Pages without an ETag are there only as long as a fetch hasn't ended.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """The pages of the list ``name``: its address and way of paging."""
        self._folder = folder / _hash(name)
        self._lasting: set[Path] = set()
        """The pages of this fetch that the API can be asked about."""

    def get(self, url: str) -> KeptPage | None:
        """The page of ``url``, if it was kept."""
        path = self._path(url)
        try:
            page = KeptPage(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # absent or damaged
            return None
        self._note(path, page)
        return page

    def is_young(self, url: str) -> bool:
        """Whether the page came within the last hour."""
        try:
            return time.time() - self._path(url).stat().st_mtime < YOUNG_S
        except FileNotFoundError:
            return False

    def put(self, url: str, page: KeptPage) -> None:
        """Keep a page, whole or not at all."""
        path = self._path(url)
        files.write_text(path, json.dumps(asdict(page)))
        self._note(path, page)

    def _note(self, path: Path, page: KeptPage) -> None:
        if page.etag:
            self._lasting.add(path)

    def end(self) -> None:
        """Nothing is missing any more, or what came is of no use: only this fetch's pages with an ETag stay."""
        for path in self._folder.glob("*/*.json"):
            if path not in self._lasting:
                files.remove(path)

    def _path(self, url: str) -> Path:
        """The file of a page; few in one folder, so that looking through it costs nothing."""
        name = _hash(url)
        return self._folder / name[:2] / f"{name}.json"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
