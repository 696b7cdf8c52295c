"""Two model versions of a small lake, registered by real DVC runs in a Git checkout, traced both ways."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines import flow
from pipelines.__main__ import main
from tests.commands.test_backfill import HEADER, MAPPING, STAGES
from tests.project import NAMED, project

VALIDATE = """\
import json
from pathlib import Path
manifest = json.loads(Path("data/raw/clickstream/manifest.json").read_text())
active = [one for one in manifest["files"] if "withdrawn" not in one]
files = {one["path"]: {"rows": one["rows"], "quarantined": 1, "duplicates": 0} for one in active}
rows = sum(one["rows"] for one in active)
summary = {"rows": rows, "good": rows - len(files), "quarantined": len(files), "duplicates": 0, "files": files}
Path("data/reports/validation").mkdir(parents=True, exist_ok=True)
Path("data/reports/validation/summary.json").write_text(json.dumps(summary))
"""
REGISTER = """\
from dataclasses import replace
from pathlib import Path
from pipelines.io.models import bundles, lineage, registry
from tests.core.board import bundle
root = Path.cwd()
made = bundle()
note = (root / "data/reports/validation/summary.json").read_text()
bundles.save(replace(made, manifest={**made.manifest, "note": note}), root / "bundle")
version = registry.register(
    f"sqlite:///{root}/data/services/mlflow/mlflow.db", root / "bundle", description="d", metrics={}, params={},
    tags={}, lineage=lineage.record(root, {"seed": 7}, running="register"),
)
registry.name_alias(f"sqlite:///{root}/data/services/mlflow/mlflow.db", version.number, registry.CHAMPION)
(root / "data/receipt.json").write_text(str(version.number))
"""
SUMMARY = "data/reports/validation/summary.json"
PIPELINE = {
    "ingest": STAGES["ingest"],
    "validate": {"cmd": "python validate.py", "deps": ["data/raw"], "outs": [{SUMMARY: {"cache": False}}]},
    "register": {"cmd": "python register.py", "deps": [SUMMARY], "outs": [{"data/receipt.json": {"cache": False}}]},
}
pytestmark = pytest.mark.slow


def run(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def raw(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "data/raw").rglob("*")) if p.is_file()}


def log_file(root: Path, day: int, rows: int) -> Path:
    path = root / f"log/clicks-2026-03-0{day}.csv"
    path.write_text(HEADER + "".join(f"u{n},i{day},view,2026-03-0{day}T10:00:00Z,Lamp\n" for n in range(rows)))
    return path


def withdraw(root: Path, day: str) -> None:
    path = root / "data/raw/clickstream/manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["files"]:
        if entry["path"].startswith(day):
            entry["withdrawn"] = "2026-03-09T00:00:00+00:00"
    path.unlink()
    path.write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """Version 1 saw the 1st and the 2nd of March; version 2 the 2nd and the 3rd. Returns the raw bytes of version 1."""
    root = tmp_path_factory.mktemp("lineage")
    settings = project(root, PIPELINE)
    (root / "validate.py").write_text(VALIDATE)
    (root / "register.py").write_text(REGISTER)
    (root / ".gitignore").write_text("/data\n/log\n/logs\n/ran\n/bundle\n/.dvc/cache\n/.dvc/tmp\n")
    (root / "small.yaml").write_text(yaml.safe_dump(MAPPING))
    for folder in ("log", "data"):
        (root / folder).mkdir()
    source = {"shop": "small", "source": "small.yaml", "clickstream": ["log"], "catalogue_url": None}
    (root / "data/source.yaml").write_text(yaml.safe_dump(source))
    run(root, "git", "init", "--quiet")
    run(root, "git", "add", "--all")
    run(root, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "a")
    log_file(root, 1, 4), log_file(root, 2, 5)
    flow.run(settings)
    first = raw(root)
    log_file(root, 3, 6)
    withdraw(root, "2026/03/01")
    with (root / "small.yaml").open("a") as file:
        file.write("# changed since the commit\n")
    flow.run(settings)
    yield root, first


def lineage(root: Path, *arguments: str) -> str:
    """What the command prints; it runs in this process, because MLflow takes seconds to import."""
    told, failed = io.StringIO(), io.StringIO()
    with contextlib.chdir(root), contextlib.redirect_stdout(told), contextlib.redirect_stderr(failed):
        code = main(["lineage", *arguments])
    assert code == 0, failed.getvalue()
    return told.getvalue()


def test_lineage_of_a_model_leads_to_the_exact_raw_files(shop: tuple[Path, dict[str, bytes]]) -> None:
    root, first = shop
    found = json.loads(lineage(root, "model", "1", "--json"))
    hashes = {entry["path"]: entry["sha256"] for entry in found["raw"]["clickstream"]}
    files = {path.removeprefix("data/raw/clickstream/"): content for path, content in first.items()}
    assert hashes == {p: hashlib.sha256(c).hexdigest() for p, c in files.items() if p.endswith(".csv")}
    assert found["validation"]["rows"] == 9
    assert found["params"] == {"seed": 7}


def test_lineage_of_the_champion_leaves_withdrawn_files_out(shop: tuple[Path, dict[str, bytes]]) -> None:
    found = json.loads(lineage(shop[0], "model", "--json"))
    assert (found["version"], found["aliases"]) == (2, ["champion"])
    assert [entry["path"][:10] for entry in found["raw"]["clickstream"]] == ["2026/03/02", "2026/03/03"]


def test_lineage_names_the_commit_and_what_differs_from_it(shop: tuple[Path, dict[str, bytes]]) -> None:
    root = shop[0]
    commit = run(root, "git", "rev-parse", "HEAD").strip()
    recorded = [json.loads(lineage(root, "model", version, "--json"))["code"] for version in ("1", "2")]
    assert recorded == [{"git_commit": commit, "changed": []}, {"git_commit": commit, "changed": ["small.yaml"]}]


def test_lineage_has_the_lock_of_the_stages_before_and_confirms_it(shop: tuple[Path, dict[str, bytes]]) -> None:
    found = json.loads(lineage(shop[0], "model", "2", "--json"))
    assert list(found["dvc_lock"]["stages"]) == ["ingest", "validate"]
    assert found["unconfirmed"] == {}


def test_lineage_for_people_names_files_code_and_stages(shop: tuple[Path, dict[str, bytes]]) -> None:
    told = lineage(shop[0], "model", "champion")
    assert "uncommitted: small.yaml" in told
    assert "clickstream/2026/03/03/clickstream.csv" in told
    assert "validate  <- data/raw" in told


def test_lineage_of_a_file_leads_to_the_versions_that_saw_it(shop: tuple[Path, dict[str, bytes]]) -> None:
    root = shop[0]
    seen = {day: json.loads(lineage(root, "file", f"log/clicks-2026-03-0{day}.csv", "--json")) for day in (1, 2, 3)}
    assert {day: [one["version"] for one in found["versions"]] for day, found in seen.items()} == {
        1: [1],
        2: [1, 2],
        3: [2],
    }
    fate = {name: seen[2]["versions"][0][name] for name in ("rows", "good", "quarantined", "duplicates")}
    assert fate == {"rows": 5, "good": 4, "quarantined": 1, "duplicates": 0}
    assert seen[2]["lake"][0]["now"] == fate
    assert "now" not in seen[1]["lake"][0]


def test_lineage_of_a_file_for_people(shop: tuple[Path, dict[str, bytes]]) -> None:
    told = lineage(shop[0], "file", "data/raw/clickstream/2026/03/01/clickstream.csv")
    assert "now         withdrawn 2026-03-09" in told
    assert "model version 1 as clickstream/2026/03/01/clickstream.csv: 4 rows, 3 good, 1 quarantined" in told


def test_lineage_of_a_file_that_was_never_used(shop: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("x")
    told = lineage(shop[0], "file", str(tmp_path / "other.csv"))
    assert told.splitlines()[1:] == ["not in the lake", "seen by no model version"]


def test_lineage_of_an_unknown_version_lists_those_there_are(shop: tuple[Path, dict[str, bytes]]) -> None:
    with pytest.raises(AssertionError, match=r"no model version '9'; there are: 1, 2 champion"):
        lineage(shop[0], "model", "9")


def test_lineage_tells_of_data_that_dvc_did_not_make(shop: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(shop[0], root, symlinks=True)
    (root / SUMMARY).unlink()
    (root / SUMMARY).write_text('{"files": {}, "rows": 0}')
    environ = os.environ | NAMED
    subprocess.run([sys.executable, "register.py"], cwd=root, env=environ, check=True, capture_output=True)
    found = json.loads(lineage(root, "model", "3", "--json"))
    assert found["unconfirmed"] == {"validate": [f"changed outs: {SUMMARY} modified"]}


def test_dvc_lock_of_a_version_brings_back_its_raw_bytes(shop: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(shop[0], root, symlinks=True)
    assert raw(root) != shop[1]
    (root / "dvc.lock").write_text(lineage(root, "model", "1", "--dvc-lock"))
    run(root, sys.executable, "-m", "dvc", "checkout", "--quiet", "--force")
    assert raw(root) == shop[1]
