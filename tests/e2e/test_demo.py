"""The demo as a newcomer runs it, small, from an unpacked archive (no .git)."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serving.shop import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
SMALL = "--users 400 --items 150 --days 50"
pytestmark = pytest.mark.slow


def _make(folder: Path, *arguments: str) -> str:
    """Run make with this environment's packages and the embedded servers; returns what it printed."""
    named = ("POSTGRES_", "REDIS_URL", "MLFLOW_", "RECOMART_", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(named)}
    done = subprocess.run(
        ["make", f"VENV={sys.prefix}", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass(frozen=True)
class Demo:
    """A running demo."""

    folder: Path
    printed: str

    @property
    def address(self) -> str:
        found = re.search(r"^service\s+(\S+)", self.printed, re.MULTILINE)
        assert found, self.printed
        return found[1]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=30) as response:
            return json.load(response)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "recomart"
    ignored = shutil.ignore_patterns(".git", ".venv", "logs", "__pycache__", "dvc.lock", "cache", "tmp", ".*_cache")
    shutil.copytree(CHECKOUT, folder, ignore=ignored)
    for path in (folder / "data").iterdir():
        if path.name != "README.md":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        yield Demo(folder, _make(folder, "demo", f"DEMO_ARGS={SMALL}"))
    finally:
        subprocess.run([sys.executable, "-m", "pipelines", "down", "--purge"], cwd=folder, check=True)


def _user(demo: Demo) -> str:
    found = re.search(r"user_id=(\w+)", demo.printed)
    assert found, demo.printed
    return found[1]


def test_demo_prints_a_recommendation_and_how_to_stop(demo: Demo) -> None:
    assert re.search(r"^ +1\. .+\(.+\)$", demo.printed, re.MULTILINE)
    assert "make down" in demo.printed


def test_demo_recommends_to_a_known_user(demo: Demo) -> None:
    answer = demo.get(f"/recommend?user_id={_user(demo)}&k=10")
    assert answer["strategy"] == "personalized"
    assert not answer["degraded"]
    assert [item["rank"] for item in answer["items"]] == list(range(1, 11))
    assert len({item["item_id"] for item in answer["items"]}) == 10


def test_demo_recommends_what_is_popular_to_a_stranger(demo: Demo) -> None:
    answer = demo.get("/recommend?user_id=nobody-knows-me&k=3")
    assert (answer["strategy"], len(answer["items"])) == ("popular", 3)


def test_demo_bad_k_names_the_field(demo: Demo) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        demo.get("/recommend?user_id=U1&k=0")
    assert caught.value.code == 422
    assert caught.value.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in json.load(caught.value)["errors"]] == ["k"]


def test_demo_every_raw_row_is_accounted_for(demo: Demo) -> None:
    simulated = json.loads((demo.folder / "data/demo/simulation.json").read_text(encoding="utf-8"))["counts"]
    summary = json.loads((demo.folder / "data/reports/validation/summary.json").read_text(encoding="utf-8"))
    assert summary["rows"] == simulated["rows"]
    assert summary["rows"] == summary["good"] + summary["quarantined"] + summary["duplicates"]


def test_demo_model_beats_popularity(demo: Demo) -> None:
    metrics = json.loads((demo.folder / "data/reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics["recomart"]["ndcg@10"] > metrics["popularity"]["ndcg@10"]


def test_demo_second_run_changes_nothing(demo: Demo) -> None:
    lock = (demo.folder / "dvc.lock").read_bytes()
    again = Demo(demo.folder, _make(demo.folder, "demo", f"DEMO_ARGS={SMALL}"))
    assert again.address == demo.address
    assert (demo.folder / "dvc.lock").read_bytes() == lock


def test_demo_feast_works_by_hand(demo: Demo) -> None:
    listed = subprocess.run(
        ["sh", "-c", f'eval "$({sys.executable} -m pipelines env)" && cd feature_repo && feast feature-views list'],
        cwd=demo.folder,
        env=os.environ | {"PYTHONPATH": str(demo.folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    views = ("user_activity_v1", "item_activity_v1", "user_item_activity_v1", "item_profile_v1")
    assert all(view in listed for view in views)


def test_demo_workers_answer_and_count_together(demo: Demo) -> None:
    log = demo.folder / "logs/api.log"
    before = log.read_text(encoding="utf-8").count("serves 150 items")
    printed = _make(demo.folder, "serve", "RECOMART_WORKERS=2")
    served = Demo(demo.folder, re.sub(r".*(http://[\d.:]+).*", r"service \1", printed, flags=re.DOTALL))
    answers = [served.get(f"/recommend?user_id={_user(demo)}&k=3") for _ in range(20)]
    assert all(answer["items"] == answers[0]["items"] for answer in answers)
    eventually(lambda: log.read_text(encoding="utf-8").count("serves 150 items") == before + 2)
    with urllib.request.urlopen(f"{served.address}/metrics", timeout=30) as response:
        counted = re.findall(r"^recomart_recommendations_total\{.*\} (\S+)$", response.read().decode(), re.MULTILINE)
    assert sum(map(float, counted)) == 20


def test_demo_down_leaves_no_process(demo: Demo) -> None:
    _make(demo.folder, "down")
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/environ")
        if str(demo.folder).encode() in _read(path) or str(demo.folder).encode() in _read(path.with_name("cmdline"))
    ]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
