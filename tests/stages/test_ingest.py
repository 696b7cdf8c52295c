"""Ingest adds what is new, byte for byte, and nothing twice."""

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.context import Context
from pipelines.core.errors import ConfigError, ServiceError
from pipelines.stages import ingest

Connect = Callable[..., None]


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and modification time of every file."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "log/deep").mkdir(parents=True)
    (folder / "log/clickstream-2026-01-01.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "log/deep/export_20260101.csv.gz").write_bytes(gzip.compress(b"a,b\n5,6"))
    (folder / "log/notes.txt").write_text("no log")
    (folder / "products").write_text(json.dumps([{"id": 2}, {"id": 1}]))
    return folder


@pytest.fixture
def url(shop: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shop)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_ingest_copies_files_and_catalogue(context: Context, connect: Connect, shop: Path, url: str) -> None:
    connect("clickstream", shop / "log", catalogue_url=url)
    ingest.run(context)
    raw = context.root / "data/raw"
    first = raw / "clickstream/2026/01/01/clickstream.csv"
    assert first.read_bytes() == (shop / "log/clickstream-2026-01-01.csv").read_bytes()
    second = raw / "clickstream/2026/01/01/clickstream-2.csv.gz"
    assert second.read_bytes() == (shop / "log/deep/export_20260101.csv.gz").read_bytes()
    manifest = json.loads((raw / "clickstream/manifest.json").read_text())
    assert manifest["source"] == "clickstream"
    assert [(entry["source"], entry["rows"], entry["bytes"]) for entry in manifest["files"]] == [
        ("export_20260101.csv.gz", 1, second.stat().st_size),
        ("clickstream-2026-01-01.csv", 2, first.stat().st_size),
    ]
    (snapshot,) = (raw / "products").rglob("products.json")
    assert json.loads(snapshot.read_text()) == [{"id": 1}, {"id": 2}]


def test_ingest_again_leaves_the_lake_byte_identical(context: Context, connect: Connect, shop: Path, url: str) -> None:
    connect("clickstream", shop / "log", catalogue_url=url)
    ingest.run(context)
    before = tree(context.root / "data/raw")
    ingest.run(context)
    (shop / "log/copy.csv").write_bytes((shop / "log/clickstream-2026-01-01.csv").read_bytes())
    os.utime(shop / "log/clickstream-2026-01-01.csv")
    ingest.run(context)
    assert tree(context.root / "data/raw") == before


def test_ingest_takes_what_changed(context: Context, connect: Connect, shop: Path, url: str) -> None:
    connect("clickstream", shop / "log", catalogue_url=url)
    ingest.run(context)
    before = tree(context.root / "data/raw")
    (shop / "log/clickstream-2026-01-01.csv").write_text("a,b\n1,2\n3,4\n7,8\n")
    (shop / "products").write_text(json.dumps([{"id": 1, "price": 5}]))
    ingest.run(context)
    after = tree(context.root / "data/raw")
    day = json.loads(after["products/manifest.json"][0])["files"][0]["path"].rpartition("/")[0]
    assert set(after) - set(before) == {"clickstream/2026/01/01/clickstream-3.csv", f"products/{day}/products-2.json"}
    assert all(after[name] == before[name] for name in before if not name.endswith("manifest.json"))


def test_ingest_completes_after_a_kill(context: Context, connect: Connect, shop: Path, url: str) -> None:
    connect("clickstream", shop / "log", catalogue_url=url)
    half = context.root / "data/raw/clickstream/2026/01/01"
    half.mkdir(parents=True)
    (half / ".clickstream.csv.123.tmp").write_text("a,")
    (half / "clickstream.csv").write_text("copied, but not in a manifest yet")
    ingest.run(context)
    assert sorted(path.name for path in half.iterdir()) == ["clickstream-2.csv.gz", "clickstream.csv"]
    assert (half / "clickstream.csv").read_bytes() == (shop / "log/clickstream-2026-01-01.csv").read_bytes()


def test_ingest_never_writes_into_a_file_of_the_lake(context: Context, connect: Connect, shop: Path, url: str) -> None:
    connect("clickstream", shop / "log", catalogue_url=url)
    ingest.run(context)
    manifest = context.root / "data/raw/clickstream/manifest.json"
    cached = context.root / "cached"
    os.link(manifest, cached)
    kept = cached.read_bytes()
    (shop / "log/new-2026-01-02.csv").write_text("a,b\n9,9\n")
    ingest.run(context)
    assert cached.read_bytes() == kept != manifest.read_bytes()


def test_ingest_without_a_shop_says_what_to_do(context: Context) -> None:
    with pytest.raises(ConfigError, match="python -m pipelines connect"):
        ingest.run(context)


def test_ingest_refuses_to_mix_two_shops(context: Context, connect: Connect, shop: Path, url: str) -> None:
    connect("clickstream", shop / "log", catalogue_url=url)
    ingest.run(context)
    connect("online-retail", shop / "log")
    with pytest.raises(ConfigError, match="two shops don't mix"):
        ingest.run(context)


def test_ingest_keeps_the_log_when_the_catalogue_is_down(context: Context, connect: Connect, shop: Path) -> None:
    connect("clickstream", shop / "log", catalogue_url="http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:9"):
        ingest.run(context)
    assert len(json.loads((context.root / "data/raw/clickstream/manifest.json").read_text())["files"]) == 2
