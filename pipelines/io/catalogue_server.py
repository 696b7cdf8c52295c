"""A small catalogue API over a JSON file, in FakeStore's shape or DummyJSON's envelope."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Query, Request, Response

from pipelines.core.errors import InputError


def create_catalogue(path: Path, envelope: bool = False) -> FastAPI:
    """An application with ``/products``, ``/products/{id}`` and ``/health``.

    The file is read anew when it changes. ``limit`` 0 means all, as FakeStore has it.

    Raises:
        InputError: the file is missing or not a JSON list.
    """
    app = FastAPI(title="Catalogue", openapi_url=None)
    shelf = _Shelf(path)

    @app.get("/products")
    def products(request: Request, limit: int = Query(0, ge=0), skip: int = Query(0, ge=0)) -> Response:
        everything = shelf.products()
        page = everything[skip : skip + limit if limit else None]
        full = {"products": page, "total": len(everything), "skip": skip, "limit": limit or len(everything)}
        return _tagged(request, full if envelope else page)

    @app.get("/products/{product_id}")
    def product(request: Request, product_id: str) -> Response:
        for candidate in shelf.products():
            if str(candidate["id"]) == product_id:
                return _tagged(request, candidate)
        raise HTTPException(404, f"no product {product_id}")

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "products": len(shelf.products())}

    return app


class _Shelf:
    """The products of a file, read anew when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._products: list[dict[str, Any]] = []
        self.products()

    def products(self) -> list[dict[str, Any]]:
        try:
            stat = self._path.stat()
            if (stamp := (stat.st_mtime_ns, stat.st_size)) != self._stamp:
                self._products, self._stamp = json.loads(self._path.read_text(encoding="utf-8")), stamp
        except FileNotFoundError:
            raise InputError(f"{self._path} is missing: `python -m pipelines simulate` writes one") from None
        except ValueError as error:
            raise InputError(f"{self._path} is not JSON: {error}") from None
        return self._products


def _tagged(request: Request, value: Any) -> Response:
    """Answer with an ETag, or 304 to who has it already."""
    content = json.dumps(value, ensure_ascii=False).encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(content, media_type="application/json", headers={"ETag": tag})
