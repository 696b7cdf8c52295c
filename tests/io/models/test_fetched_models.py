import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ModelError
from pipelines.io.files import replacing
from pipelines.io.models import bundles
from pipelines.io.models.fetched_models import KEPT, FetchedModels
from tests.core.board import bundle


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    bundles.save(bundle(), tmp_path / "registered")
    return tmp_path / "registered"


@pytest.fixture
def models(registered: Path, tmp_path: Path) -> FetchedModels:
    """A folder ``fetched`` whose versions all are the same bundle."""

    def fetch(version: int, destination: Path) -> Path:
        if not destination.exists():
            with replacing(destination) as temporary:
                shutil.copytree(registered, temporary)
        return destination

    return FetchedModels(tmp_path / "fetched", fetch)


def there(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "fetched").iterdir()} - {".lock"}


def aged(tmp_path: Path, *versions: int) -> None:
    """Let the versions be opened in this order, long ago."""
    for second, version in enumerate(versions):
        os.utime(tmp_path / "fetched" / str(version), (second, second))


def test_prune_keeps_what_is_in_use_and_what_was_opened_last(models: FetchedModels, tmp_path: Path) -> None:
    assert KEPT == 3
    for version in range(1, 7):
        models.open(version)
    aged(tmp_path, 1, 2, 3, 4, 5, 6)
    models.open(2)
    models.prune({1})
    assert there(tmp_path) == {"1", "2", "5", "6"}


def test_prune_removes_what_killed_processes_left(models: FetchedModels, tmp_path: Path) -> None:
    models.open(1)
    (tmp_path / "fetched/.7.4711.tmp").mkdir()
    models.prune({1})
    assert there(tmp_path) == {"1"}


def test_prune_before_anything_was_fetched_makes_no_folder(models: FetchedModels, tmp_path: Path) -> None:
    models.prune({1})
    assert not (tmp_path / "fetched").exists()


def test_bundle_that_is_open_is_readable_after_it_was_pruned(models: FetchedModels, tmp_path: Path) -> None:
    opened = models.open(1)
    for version in range(2, 6):
        models.open(version)
    aged(tmp_path, 1, 2, 3, 4, 5)
    models.prune({5})
    assert "1" not in there(tmp_path)
    assert np.array_equal(opened.item_ids, bundle().item_ids)


def test_opening_and_pruning_at_once_never_fails(models: FetchedModels, tmp_path: Path) -> None:
    """One worker goes through the versions while another one, which needs none of them, prunes all the time."""
    failed: list[ModelError] = []

    def swap() -> None:
        try:
            for version in range(1, 40):
                models.open(version % 7)
        except ModelError as error:
            failed.append(error)

    threads = [threading.Thread(target=swap) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        models.prune({100})
    assert not failed
