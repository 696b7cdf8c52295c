"""Bundles on disk: a folder of ``.npy`` arrays, the ranker as JSON text, and ``manifest.json``. No pickle.

The manifest lists the SHA-256 of every other file, so the manifest's own hash names the bundle.
"""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipelines.core.errors import ModelError
from pipelines.core.models.bundle import FORMAT, Bundle
from pipelines.core.models.histories import Histories
from pipelines.io.files import read_json, replacing, sha256, write_json

if TYPE_CHECKING:
    from pipelines.core.models.ranking import Ranker

MANIFEST: Final = "manifest.json"
RANKER: Final = "ranker.json"
SIGNALS: Final = "signals"
IDS: Final = ("user_ids", "item_ids")
HISTORIES: Final = {f"history_{field.name}": field.name for field in fields(Histories)}
"""File -> array of the histories."""


def save(bundle: Bundle, folder: Path) -> str:
    """Write the bundle, whole or not at all, and return its hash: the same bundle gives the same bytes."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        arrays = {name: getattr(bundle, name) for name in IDS}
        arrays |= {file: getattr(bundle.histories, name) for file, name in HISTORIES.items()}
        for file, array in arrays.items():
            np.save(temporary / f"{file}.npy", array, allow_pickle=False)
        for owner, owned in {**bundle.sources, SIGNALS: bundle.signals}.items():
            for name, array in owned.items():
                np.save(temporary / f"{owner}.{name}.npy", array, allow_pickle=False)
        manifest = dict(bundle.manifest)
        if bundle.ranker is not None:
            manifest["blend"] = dict(bundle.ranker.blend)
            if bundle.ranker.trees is not None:
                (temporary / RANKER).write_bytes(bundle.ranker.trees.model)
        files = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / MANIFEST, {**manifest, "files": files})
    return digest(folder)


def digest(folder: Path) -> str:
    """The bundle's hash."""
    return sha256(folder / MANIFEST)


def load(folder: Path) -> Bundle:
    """Open a bundle; arrays are memory-mapped, read-only.

    Raises:
        ModelError: it is missing, damaged or of another format; the text names the file.
    """
    manifest = _checked_manifest(folder)
    owned: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*manifest["sources"], SIGNALS)}
    for file in manifest["files"]:
        owner, dot, name = file.removesuffix(".npy").partition(".")
        if dot and owner in owned:
            owned[owner][name] = _array(folder / file)
    return Bundle(
        manifest=manifest,
        signals=owned.pop(SIGNALS),
        sources=owned,
        ranker=_ranker(folder, manifest) if "blend" in manifest else None,
        histories=Histories(**{name: _array(folder / f"{file}.npy") for file, name in HISTORIES.items()}),
        **{name: _array(folder / f"{name}.npy") for name in IDS},
    )


def _ranker(folder: Path, manifest: dict[str, Any]) -> "Ranker":
    from pipelines.core.models.forest import Forest  # compiles, and most commands only ask for a bundle's hash
    from pipelines.core.models.ranking import Ranker

    trees = Forest.of((folder / RANKER).read_bytes()) if RANKER in manifest["files"] else None
    # JSON has lost their order
    weights = {name: manifest["blend"][name] for name in manifest["sources"] if name in manifest["blend"]}
    return Ranker(tuple(manifest["features"]), weights, trees)


def _checked_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        raise ModelError(f"{folder} holds no bundle ({MANIFEST} is missing): run `python -m pipelines train`")
    manifest: dict[str, Any] = read_json(path)
    if manifest.get("format") != FORMAT:
        raise ModelError(f"{path}: format {manifest.get('format')}, this version reads {FORMAT}: train again")
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.exists() or sha256(file) != expected:
            raise ModelError(f"{file} is {'damaged' if file.exists() else 'missing'}: train or fetch the bundle again")
    return manifest


def _array(path: Path) -> np.ndarray:
    """Memory-mapped, as an ordinary array: slices of a ``memmap`` cost ten times as much.

    An array without elements can't be mapped and is read.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except ValueError:
        return np.load(path, allow_pickle=False)
