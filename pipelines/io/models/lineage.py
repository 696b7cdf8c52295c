"""Record where a model comes from: code, parameters, raw files, and what DVC knows of every stage."""

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from pipelines.core.evaluation import lineage
from pipelines.io import dvc_repo, files
from pipelines.io.intake import lake

VALIDATION: Final = Path("data/reports/validation/summary.json")
LOCK: Final = Path("dvc.lock")


def record(root: Path, params: dict[str, Any], running: str) -> lineage.Document:
    """The lineage of what stands in ``data/`` now; ``running`` is the stage that asks, not yet in dvc.lock.

    dvc.lock is only as true as the way the files were made: those that a person changed, or a stage that was run by
    hand, are named under ``unconfirmed``.
    """
    has_dvc = (root / "dvc.yaml").exists() and (root / ".dvc").is_dir()
    content = yaml.safe_load((root / LOCK).read_text(encoding="utf-8")) if has_dvc and (root / LOCK).exists() else None
    return {
        "code": code(root),
        "params": params,
        "raw": {
            "clickstream": lake.Manifest.read(root / lake.CLICKSTREAM).active(),
            "products": lake.Manifest.read(root / lake.PRODUCTS).active(),
        },
        "validation": files.read_json(root / VALIDATION) if (root / VALIDATION).exists() else None,
        "dvc_lock": lineage.lock(content, running),
        "unconfirmed": dvc_repo.differences(root, running) if content else {},
    }


def code(root: Path) -> dict[str, Any]:
    """The commit that is checked out, and the files that differ from it; null and none without Git."""
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--", ".", f":!{LOCK}") if commit else None
    return {"git_commit": (commit or "").strip() or None, "changed": [line[3:] for line in (status or "").splitlines()]}


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails or isn't there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
