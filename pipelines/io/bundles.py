"""Bundles on disk: a folder of ``.npy`` arrays, the ranker as JSON text, and ``manifest.json``. No pickle.

The manifest lists the SHA-256 of every other file, so the manifest's own hash names the bundle.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.core.bundle import FORMAT, Bundle
from pipelines.core.errors import ModelError
from pipelines.io.files import read_json, replacing, sha256, write_json

MANIFEST: Final = "manifest.json"
RANKER: Final = "ranker.json"
ARRAYS: Final = ("user_ids", "item_ids", "seen_indptr", "seen_indices")


def save(bundle: Bundle, folder: Path) -> str:
    """Write the bundle, whole or not at all, and return its hash: the same bundle gives the same bytes."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name in ARRAYS:
            np.save(temporary / f"{name}.npy", getattr(bundle, name), allow_pickle=False)
        for source, arrays in bundle.sources.items():
            for name, array in arrays.items():
                np.save(temporary / f"{source}.{name}.npy", array, allow_pickle=False)
        if bundle.ranker is not None:
            (temporary / RANKER).write_bytes(bundle.ranker.save_raw("json"))
        files = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / MANIFEST, {**bundle.manifest, "files": files})
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
    sources: dict[str, dict[str, np.ndarray]] = {name: {} for name in manifest["sources"]}
    for file in manifest["files"]:
        source, dot, name = file.removesuffix(".npy").partition(".")
        if dot and source in sources:
            sources[source][name] = _array(folder / file)
    ranker = None
    if RANKER in manifest["files"]:
        import xgboost as xgb  # takes seconds, and most commands only ask for a bundle's hash

        ranker = xgb.Booster({"nthread": 1})  # a request's few hundred rows are scored sooner by one thread
        ranker.load_model(bytearray((folder / RANKER).read_bytes()))
    return Bundle(
        manifest=manifest,
        sources=sources,
        ranker=ranker,
        **{name: _array(folder / f"{name}.npy") for name in ARRAYS},
    )


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
    """Memory-mapped; an array without elements can't be mapped and is read."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        return np.load(path, allow_pickle=False)
