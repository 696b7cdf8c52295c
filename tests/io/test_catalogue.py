"""The catalogue's client against the catalogue's server, and against one that has bad days; all over real HTTP."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from pipelines.core.errors import InputError, ServiceError
from pipelines.io import catalogue_client
from pipelines.io.catalogue_client import fetch_products
from pipelines.io.catalogue_server import create_catalogue

PRODUCTS = [{"id": f"P{n:03d}", "title": f"Thing {n}", "price": n} for n in range(230)]
Answer = tuple[int, dict[str, str], Any]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps(PRODUCTS))
    return path


@pytest.fixture(params=[False, True], ids=["list", "envelope"])
def url(request: pytest.FixtureRequest, shelf: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(create_catalogue(shelf, request.param), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[str, list[str]]]]:
    """Start a server that gives the scripted answers one after another (the last one for ever)."""
    servers = []

    def start(*answers: Answer) -> tuple[str, list[str]]:
        left, asked = list(answers), []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                status, headers, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/products", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_fetch_takes_all_pages(url: str) -> None:
    assert fetch_products(url) == PRODUCTS


def test_server_pages_and_finds(url: str) -> None:
    page = httpx.get(f"{url}/products", params={"limit": 2, "skip": 228}).json()
    products = page["products"] if isinstance(page, dict) else page
    assert products == PRODUCTS[228:]
    if isinstance(page, dict):
        assert (page["total"], page["skip"], page["limit"]) == (230, 228, 2)
    assert httpx.get(f"{url}/products/P007").json() == PRODUCTS[7]
    assert httpx.get(f"{url}/products/none").status_code == 404
    assert httpx.get(f"{url}/health").json() == {"status": "ok", "products": 230}


def test_server_says_304_until_the_file_changes(url: str, shelf: Path) -> None:
    first = httpx.get(f"{url}/products/P001")
    known = {"If-None-Match": first.headers["ETag"]}
    assert httpx.get(f"{url}/products/P001", headers=known).status_code == 304
    shelf.write_text(json.dumps([{"id": "P001", "title": "New"}]))
    again = httpx.get(f"{url}/products/P001", headers=known)
    assert (again.status_code, again.json()["title"]) == (200, "New")


def test_server_needs_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        create_catalogue(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        create_catalogue(tmp_path / "bad.json")


def test_fetch_tries_again_after_503_and_429(scripted: Callable[..., tuple[str, list[str]]]) -> None:
    url, asked = scripted((503, {}, {}), (429, {"Retry-After": "0"}, {}), (200, {}, [{"id": 1}]))
    assert fetch_products(url) == [{"id": 1}]
    assert asked[0] == asked[2] == "/products?limit=100&skip=0"


def test_fetch_ends_where_an_api_ignores_paging(scripted: Callable[..., tuple[str, list[str]]]) -> None:
    url, asked = scripted((200, {}, [{"id": 1}, {"id": 2}]))
    assert fetch_products(url) == [{"id": 1}, {"id": 2}]
    assert len(asked) == 2


def test_fetch_gives_up_after_its_attempts(scripted: Callable[..., tuple[str, list[str]]]) -> None:
    url, asked = scripted((500, {"Retry-After": "0"}, {}))
    with pytest.raises(ServiceError, match="answered 500"):
        fetch_products(url)
    assert len(asked) == catalogue_client.ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "message"),
    [((404, {}, {}), "answered 404"), ((200, {}, b"<html>"), "not JSON"), ((200, {}, {"items": []}), "neither a list")],
)
def test_fetch_refuses_at_once(scripted: Callable[..., tuple[str, list[str]]], answer: Answer, message: str) -> None:
    url, asked = scripted(answer)
    with pytest.raises(ServiceError, match=message):
        fetch_products(url)
    assert len(asked) == 1


def test_fetch_says_when_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_client, "ATTEMPTS", 2)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ServiceError, match="is it running"):
        fetch_products(f"http://127.0.0.1:{port}")
    with pytest.raises(ServiceError, match="not an http"):
        fetch_products("shop.example/products")
