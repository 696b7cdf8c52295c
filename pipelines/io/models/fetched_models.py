"""The folder of bundles fetched from MLflow, one a version. Workers and stages share it; few are kept."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipelines.core.models.bundle import Bundle
from pipelines.io.files import locked, remove
from pipelines.io.models import bundles, registry
from pipelines.settings import Settings

FOLDER: Final = Path("data/serving/models")
LOCK: Final = ".lock"
KEPT: Final = 3
"""So many versions stay beside those in use: the ones that were opened last."""


class FetchedModels:
    """Opens versions; each is fetched once, by whoever comes first.

    One process at a time opens or prunes, so nobody's bundle goes while it is being opened. Once it is open it may:
    arrays that are mapped stay readable when their files are gone.
    """

    def __init__(self, folder: Path, fetch: Callable[[int, Path], Path]) -> None:
        """``fetch`` brings a version's bundle to a folder, whole or not at all; what is there already stays."""
        self._folder = folder
        self._fetch = fetch

    @classmethod
    def of(cls, settings: Settings) -> "FetchedModels":
        """Those of the checkout, from the registry that the settings name."""
        uri = settings.mlflow_tracking_uri
        return cls(settings.root / FOLDER, lambda version, folder: registry.fetch(uri, version, folder))

    def open(self, version: int) -> Bundle:
        """The version's bundle.

        Raises:
            ServiceError: MLflow doesn't answer, or has no such version.
            ModelError: it is gone, or can't be used.
        """
        with self._alone():
            folder = self._fetch(version, self._folder / str(version))
            os.utime(folder)  # by its time it counts as opened last
            return bundles.load(folder)

    def prune(self, in_use: Collection[int]) -> None:
        """Remove what neither is in use nor among the last opened, and what killed processes left."""
        if not self._folder.exists():
            return
        with self._alone():
            there = [path for path in self._folder.iterdir() if path.name != LOCK]
            versions = [path for path in there if path.name.isdigit()]
            idle = [path for path in versions if int(path.name) not in in_use]
            idle.sort(key=lambda path: path.stat().st_mtime_ns)
            for path in [*idle[: max(len(idle) - KEPT, 0)], *(set(there) - set(versions))]:
                remove(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self._folder / LOCK, "another process that opens a model"):
            yield
