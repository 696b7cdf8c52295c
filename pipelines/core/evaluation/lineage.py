"""A model version's lineage, as `register` records it, and what can be read from it.

``{"code": {"git_commit", "changed"}, "params", "raw": {"clickstream", "products"}, "validation", "dvc_lock",
"unconfirmed"}``: the revision and the files changed since, the manifests' entries of every file that stages read, the
summary of `validate`, the entries of dvc.lock, and where the files weren't what dvc.lock says.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Document = dict[str, Any]


def lock(content: Mapping[str, Any] | None, leave_out: str) -> Document | None:
    """The content of dvc.lock without the stage ``leave_out``, which is still running: its entry is of an older run."""
    if content is None:
        return None
    stages = {name: entry for name, entry in content["stages"].items() if name != leave_out}
    return {**content, "stages": stages}


def stage_files(document: Document) -> Iterator[tuple[str, str, str, str]]:
    """(stage, ``deps`` or ``outs``, path, hash) of everything that a stage read and wrote, in dvc.lock's order."""
    stages = (document["dvc_lock"] or {}).get("stages", {})
    for name, entry in stages.items():
        for kind in ("deps", "outs"):
            for file in entry.get(kind, []):
                yield name, kind, file["path"], file.get("md5") or ""


def raw_files(document: Document) -> Iterator[tuple[str, Document]]:
    """(``clickstream`` or ``products``, entry of the manifest) of every raw file that the version saw."""
    for kind in ("clickstream", "products"):
        for entry in document["raw"][kind]:
            yield kind, entry


def seen(document: Document, sha256: str) -> list[Document]:
    """What became of the rows of the file with this content: one entry for each time it lies in the lake."""
    found = ((kind, entry) for kind, entry in raw_files(document) if entry["sha256"] == sha256)
    return [{"path": f"{kind}/{entry['path']}"} | fate(document["validation"], kind, entry) for kind, entry in found]


def fate(validation: Mapping[str, Any] | None, kind: str, entry: Mapping[str, Any]) -> dict[str, int]:
    """A file's rows, and of a log how many were good, quarantined and duplicates: ``validate`` counted them."""
    counted = (validation or {}).get("files", {}).get(entry["path"]) if kind == "clickstream" else None
    if counted is None:
        return {"rows": entry["rows"]}
    good = counted["rows"] - counted["quarantined"] - counted["duplicates"]
    return {"rows": counted["rows"], "good": good} | {name: counted[name] for name in ("quarantined", "duplicates")}
