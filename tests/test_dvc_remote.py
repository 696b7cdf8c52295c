"""`dvc push` and `dvc pull` between two checkouts, over the default folder and over a real S3 server."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.project import CHECKOUT, project

LOG = "data/raw/clickstream/2026/03/01/clickstream.csv"
RAW = {LOG: b"user_id\nu1\n", "data/raw/products/products.json": b"[]\n"}
STAGES = {
    "ingest": {"cmd": "cp -r arrived/data .", "deps": ["arrived"], "outs": [{"data/raw": {"persist": True}}]},
    "count": {"cmd": f"grep -c u {LOG} > data/rows.txt", "deps": ["data/raw"], "outs": ["data/rows.txt"]},
}
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
pytestmark = pytest.mark.slow


def dvc(root: Path, *arguments: str, **environ: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=root, check=True)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A checkout whose pipeline has run, its dvc.lock committed."""
    root = tmp_path / "checkout"
    project(root, STAGES)
    for name, content in RAW.items():
        (root / "arrived" / name).parent.mkdir(parents=True)
        (root / "arrived" / name).write_bytes(content)
    (root / ".gitignore").write_text("/data\n")
    git(root, "init", "--quiet")
    dvc(root, "repro", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "a")
    return root


@pytest.fixture
def s3() -> Iterator[str]:
    """A real S3 server on this machine with one bucket; returns its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="lake")
    yield address
    server.stop()


def lake(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in RAW}


def test_push_to_the_default_remote_then_pull_in_a_clone(shop: Path) -> None:
    dvc(shop, "push", "--quiet")
    assert (shop.parent / "recomart-dvc-remote/files").is_dir()
    git(shop.parent, "clone", "--quiet", str(shop), "clone")
    dvc(shop.parent / "clone", "pull", "--quiet")
    assert lake(shop.parent / "clone") == RAW
    assert (shop.parent / "clone/data/rows.txt").read_text() == "2\n"
    assert "Data and pipelines are up to date" in dvc(shop.parent / "clone", "status")


def test_pull_after_the_cache_and_the_data_are_gone(shop: Path) -> None:
    dvc(shop, "push", "--quiet")
    shutil.rmtree(shop / ".dvc/cache")
    shutil.rmtree(shop / "data")
    dvc(shop, "pull", "--quiet")
    assert lake(shop) == RAW


def test_pulled_files_share_no_writable_bytes_with_the_cache(shop: Path) -> None:
    dvc(shop, "push", "--quiet")
    shutil.rmtree(shop / "data")
    dvc(shop, "pull", "--quiet")
    for name in [*RAW, "data/rows.txt"]:
        status = (shop / name).stat()
        writable = status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
        assert status.st_nlink == 1 or not writable, f"{name}: a writer would change DVC's cache, too"


def test_push_and_pull_over_s3_as_the_readme_says(shop: Path, s3: str) -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    commands = [line for line in readme.splitlines() if line.startswith("dvc remote modify --local storage")]
    assert len(commands) == 2, "the README names the bucket and, for another server than AWS's, its address"
    for line in commands:
        words = line.partition("#")[0].split()
        value = {"url": "s3://lake/recomart", "endpointurl": s3}[words[5]]
        dvc(shop, *words[1:6], value)
    dvc(shop, "push", "--quiet", **KEYS)
    assert not (shop.parent / "recomart-dvc-remote").exists()
    shutil.rmtree(shop / ".dvc/cache")
    shutil.rmtree(shop / "data")
    dvc(shop, "pull", "--quiet", **KEYS)
    assert lake(shop) == RAW


def test_credentials_stay_out_of_git() -> None:
    assert "/config.local" in (CHECKOUT / ".dvc/.gitignore").read_text().splitlines()
