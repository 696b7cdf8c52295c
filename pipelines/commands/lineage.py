"""Tell where a model comes from, down to the bytes of the raw files, and where a raw file's rows went."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pipelines.context import Context
from pipelines.core.errors import InputError, ModelError
from pipelines.core.evaluation import lineage
from pipelines.io import files
from pipelines.io.intake import lake
from pipelines.io.models import registry
from pipelines.io.models.lineage import VALIDATION
from pipelines.io.models.registry import Known


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the two directions."""
    ways = parser.add_subparsers(dest="way", required=True, metavar="model|file")
    model = ways.add_parser("model", help="back: from a model version to code, parameters and raw files")
    model.add_argument("version", nargs="?", default=registry.CHAMPION, help="number or alias (default %(default)s)")
    shown = model.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="all that is recorded, as JSON")
    shown.add_argument("--dvc-lock", action="store_true", help="the version's dvc.lock: … > dvc.lock && dvc checkout")
    file = ways.add_parser("file", help="forward: from a raw file to the model versions that saw it")
    file.add_argument("path", type=Path, help="the file in the lake, or the one that it was copied from")
    file.add_argument("--json", action="store_true", help="as JSON")


def run(context: Context) -> None:
    """Print it.

    Raises:
        InputError: there is no such file.
        ModelError: there is no such version, or nothing was recorded of it.
        ServiceError: MLflow doesn't answer.
    """
    args, uri = context.args, context.settings.mlflow_tracking_uri
    versions = registry.known(uri)
    if args.way == "file":
        found = _trace(context.root, args.path, versions, uri)
        _print([json.dumps(found, indent=2)] if args.json else _describe_file(args.path, found))
        return
    version = registry.named(versions, args.version)
    document = registry.lineage(uri, version.run_id)
    if document is None:
        raise ModelError(f"model version {version.number} was registered before lineage was recorded")
    if args.json:
        _print([json.dumps(_heading(version) | document, indent=2)])
    elif args.dvc_lock:
        if document["dvc_lock"] is None:
            raise ModelError(f"model version {version.number} was made without DVC: there is no dvc.lock to go back to")
        _print([yaml.safe_dump(document["dvc_lock"], sort_keys=False, allow_unicode=True).rstrip()])
    else:
        _print(_describe_model(version, document))


def _trace(root: Path, path: Path, versions: list[Known], uri: str) -> dict[str, Any]:
    """Where the content of a file is and was used."""
    if not (root / path).is_file():
        raise InputError(f"{path}: there is no such file")
    sha256 = files.sha256(root / path)
    validation = files.read_json(root / VALIDATION) if (root / VALIDATION).exists() else None
    folders = {"clickstream": lake.CLICKSTREAM, "products": lake.PRODUCTS}
    held = [
        {**entry, "path": f"{kind}/{entry['path']}"} | ({} if "withdrawn" in entry else {"now": now})
        for kind, folder in folders.items()
        for entry in lake.Manifest.read(root / folder).files
        if entry["sha256"] == sha256
        for now in [lineage.fate(validation, kind, entry)]
    ]
    documents = [(version, registry.lineage(uri, version.run_id)) for version in versions]
    used = [
        _heading(version) | fate
        for version, document in documents
        if document is not None
        for fate in lineage.seen(document, sha256)
    ]
    unknown = [version.number for version, document in documents if document is None]
    return {"sha256": sha256, "lake": held, "versions": used, "unrecorded_versions": unknown}


def _heading(version: Known) -> dict[str, Any]:
    return {"version": version.number, "aliases": list(version.aliases), "run_id": version.run_id}


def _describe_file(path: Path, found: dict[str, Any]) -> Iterator[str]:
    yield f"{path}: sha256 {found['sha256']}"
    for entry in found["lake"]:
        yield f"in the lake   {entry['path']}, from {entry['source']}, arrived {entry['ingested_at']}"
        yield f"  now         {_rows(entry['now']) if 'now' in entry else 'withdrawn ' + entry['withdrawn']}"
    if not found["lake"]:
        yield "not in the lake"
    for one in found["versions"]:
        yield f"seen by       model version {_name(one)} as {one['path']}: {_rows(one)}"
    if not found["versions"]:
        yield "seen by no model version"
    for number in found["unrecorded_versions"]:
        yield f"unknown       model version {number} was registered before lineage was recorded"


def _describe_model(version: Known, document: lineage.Document) -> Iterator[str]:
    code, counts = document["code"], document["validation"] or {}
    yield f"model version {_name(_heading(version))}, MLflow run {version.run_id}"
    changed = f", and uncommitted: {', '.join(code['changed'])}" if code["changed"] else ""
    yield f"code        {code['git_commit'] or 'not under Git'}{changed}"
    yield f"parameters  {json.dumps(document['params'])}"
    names = ("rows", "good", "quarantined", "duplicates")
    yield "rows        " + ", ".join(f"{counts[name]} {name}" for name in names if name in counts)
    yield "raw files   (path, sha256, rows, arrived)"
    for kind, entry in lineage.raw_files(document):
        yield f"  {kind}/{entry['path']}  {entry['sha256']}  {entry['rows']}  {entry['ingested_at']}"
    yield "stages      (read or written, hash in DVC's cache)"
    for stage, kind, path, md5 in lineage.stage_files(document):
        yield f"  {stage:9s} {'<-' if kind == 'deps' else '->'} {path}  {md5}"
    for stage, differences in document["unconfirmed"].items():
        yield f"not as dvc.lock says when it was registered: {stage}: {'; '.join(differences)}"


def _name(heading: dict[str, Any]) -> str:
    aliases = ", ".join(heading["aliases"])
    return f"{heading['version']} ({aliases})" if aliases else str(heading["version"])


def _rows(fate: dict[str, Any]) -> str:
    names = ("good", "quarantined", "duplicates")
    return ", ".join([f"{fate['rows']} rows", *(f"{fate[name]} {name}" for name in names if name in fate)])


def _print(lines: Iterable[str]) -> None:
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # its reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
