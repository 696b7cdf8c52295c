"""Ingest adds what is new, byte for byte, and nothing twice."""

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.context import Context
from pipelines.core.errors import ConfigError, InputError, ServiceError
from pipelines.io.quality import withdrawal
from pipelines.stages import ingest

Connect = Callable[..., None]
HEADER = "user_id,product_id,event_type,timestamp\n"
ROW = "u,p,view,2026-01-01T10:00:00Z\n"


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and modification time of every file."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def entries(context: Context) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((context.root / "data/raw/clickstream/manifest.json").read_text())["files"]
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "log/deep").mkdir(parents=True)
    (folder / "log/clickstream-2026-01-01.csv").write_text(HEADER + ROW + ROW)
    (folder / "log/deep/export_20260101.csv.gz").write_bytes(gzip.compress((HEADER + ROW.rstrip()).encode()))
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
    (shop / "log/clickstream-2026-01-01.csv").write_text(HEADER + 3 * ROW)
    (shop / "products").write_text(json.dumps([{"id": 1, "price": 5}]))
    ingest.run(context)
    after = tree(context.root / "data/raw")
    day = json.loads(after["products/manifest.json"][0])["files"][0]["path"].rpartition("/")[0]
    assert set(after) - set(before) == {"clickstream/2026/01/01/clickstream-3.csv", f"products/{day}/products-2.json"}
    assert all(after[name] == before[name] for name in before if not name.endswith("manifest.json"))


def test_ingest_takes_one_file_of_one_content(context: Context, connect: Connect, shop: Path, url: str) -> None:
    (shop / "log/again-2026-01-05.csv").write_text(HEADER + ROW + ROW)
    connect("clickstream", shop / "log", catalogue_url=url)
    ingest.run(context)
    assert [entry["source"] for entry in entries(context)] == ["export_20260101.csv.gz", "again-2026-01-05.csv"]


def test_ingest_refuses_what_cannot_be_used_and_takes_the_rest(
    context: Context, connect: Connect, shop: Path, url: str
) -> None:
    (shop / "log/a.csv").write_text("user_id,product_id,timestamp\n")
    (shop / "log/b.csv").touch()
    for number in range(6):
        (shop / f"log/c{number}.csv.gz").write_bytes(gzip.compress(HEADER.encode())[:-3])
    connect("clickstream", shop / "log", catalogue_url=url)
    with pytest.raises(InputError) as refused:
        ingest.run(context)
    lines = str(refused.value).splitlines()
    assert lines[0] == "refused 8 of 10 files, the others are in the lake:"
    assert lines[1].startswith(f"  {shop}/log/a.csv: column 'event_type' is missing")
    assert lines[2] == f"  {shop}/log/b.csv is empty (0 bytes)"
    assert lines[3] == f"  {shop}/log/c0.csv.gz can't be read: it ends too early"
    assert lines[6] == "  and 3 more: see logs/"
    assert "pipelines withdraw" in lines[7]
    assert len(entries(context)) == 2
    assert len(list((context.root / "data/raw/products").rglob("products.json"))) == 1


def test_ingest_takes_a_refused_file_once_it_is_repaired(
    context: Context, connect: Connect, shop: Path, url: str
) -> None:
    bad = shop / "log/bad-2026-01-03.csv"
    bad.touch()
    connect("clickstream", shop / "log", catalogue_url=url)
    with pytest.raises(InputError, match=r"bad-2026-01-03\.csv is empty"):
        ingest.run(context)
    bad.write_text(HEADER + ROW)
    ingest.run(context)
    assert "2026/01/03/clickstream.csv" in {entry["path"] for entry in entries(context)}


def test_ingest_lets_withdrawn_files_be(context: Context, connect: Connect, shop: Path, url: str) -> None:
    bad = shop / "log/bad-2026-01-03.csv"
    bad.write_text("no,such,columns\n")
    connect("clickstream", shop / "log", catalogue_url=url)
    with pytest.raises(InputError):
        ingest.run(context)
    for path in (bad, shop / "log/clickstream-2026-01-01.csv"):
        withdrawal.withdraw(context.root, str(path), datetime.now(UTC))
    before = entries(context)
    (shop / "log/same-2026-01-09.csv").write_text(HEADER + ROW + ROW)
    ingest.run(context)
    (context.root / ingest.SEEN).unlink()
    ingest.run(context)
    assert entries(context) == before
    assert sum("withdrawn" in entry for entry in before) == 2


def test_ingest_leaves_out_files_dated_before_since(context: Context, connect: Connect, shop: Path, url: str) -> None:
    (shop / "log/clickstream-2026-01-02.csv").write_text(HEADER + 4 * ROW)
    (shop / "log/undated.csv").write_text(HEADER + 5 * ROW)
    connect("clickstream", shop / "log", catalogue_url=url, since=date(2026, 1, 2))
    ingest.run(context)
    assert {entry["source"] for entry in entries(context)} == {"clickstream-2026-01-02.csv", "undated.csv"}


def test_ingest_days_brings_in_a_range_from_before_since(
    context: Context, connect: Connect, shop: Path, url: str
) -> None:
    for day in range(1, 6):
        (shop / f"log/day-2025-12-0{day}.csv").write_text(HEADER + day * ROW)
    connect("clickstream", shop / "log", catalogue_url=url, since=date(2026, 1, 1))
    assert ingest.ingest_days(context, date(2025, 12, 2), date(2025, 12, 4)) == 3
    assert [entry["rows"] for entry in entries(context)] == [2, 3, 4]
    assert ingest.ingest_days(context, date(2025, 12, 2), date(2025, 12, 4)) == 0
    assert not (context.root / "data/raw/products").exists()


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
    (shop / "log/new-2026-01-02.csv").write_text(HEADER + 5 * ROW)
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
    assert len(entries(context)) == 2
