"""The simulated shop's API, and the client against it; all over real HTTP."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from pipelines.core.errors import InputError, ServiceError
from pipelines.io.intake.catalogue_client import fetch_products
from pipelines.io.intake.catalogue_server import create_catalogue

PRODUCTS = [{"id": f"P{n:03d}", "title": f"Thing {n}", "price": n} for n in range(230)]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps(PRODUCTS))
    return path


@contextmanager
def serving(shelf: Path, **options: Any) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_catalogue(shelf, **options), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(params=[False, True], ids=["list", "envelope"])
def url(request: pytest.FixtureRequest, shelf: Path) -> Iterator[str]:
    with serving(shelf, envelope=request.param) as url:
        yield url


@pytest.mark.parametrize("paging", ["skip", "page"])
def test_client_gets_all_pages_and_then_304(url: str, paging: Any, tmp_path: Path) -> None:
    assert fetch_products(url, paging=paging, cache=tmp_path / "cache") == PRODUCTS
    assert fetch_products(url, paging=paging, cache=tmp_path / "cache") == PRODUCTS


def test_server_pages_by_skip(url: str) -> None:
    page = httpx.get(f"{url}/products", params={"limit": 2, "skip": 228}).json()
    if isinstance(page, dict):
        assert (page["total"], page["skip"], page["limit"]) == (230, 228, 2)
    assert (page["products"] if isinstance(page, dict) else page) == PRODUCTS[228:]


def test_server_pages_by_number(url: str) -> None:
    answer = httpx.get(f"{url}/products", params={"page": 2, "per_page": 100})
    page = answer.json()
    if isinstance(page, dict):
        assert (page["total"], page["page"], page["total_pages"]) == (230, 2, 3)
    else:
        assert httpx.get(answer.links["next"]["url"]).json() == PRODUCTS[200:]
    assert (page["products"] if isinstance(page, dict) else page) == PRODUCTS[100:200]


def test_server_finds_one_product(url: str) -> None:
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


def test_server_demands_its_token(shelf: Path) -> None:
    with serving(shelf, token="s3cret") as url:
        assert fetch_products(url, token="s3cret") == PRODUCTS
        with pytest.raises(ServiceError, match="refuses the token"):
            fetch_products(url, token="other")
        assert httpx.get(f"{url}/products/P007").status_code == 401
        assert httpx.get(f"{url}/health").status_code == 200


def test_server_needs_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        create_catalogue(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        create_catalogue(tmp_path / "bad.json")
