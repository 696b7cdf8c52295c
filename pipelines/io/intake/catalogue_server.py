"""A small catalogue API over a JSON file: a plain list as FakeStore's or an object as DummyJSON's, paged either way."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response

from pipelines.core.errors import InputError

PER_PAGE: Final = 100


def create_catalogue(path: Path, envelope: bool = False, token: str | None = None) -> FastAPI:
    """An application with ``/products``, ``/products/{id}`` and ``/health``.

    ``/products`` takes ``limit`` and ``skip`` (0, the default limit, means all, as FakeStore has it), or ``page`` from
    1 and ``per_page``. The file is read anew when it changes.

    Args:
        path: the file, a JSON list of products.
        envelope: answer with an object that holds the list and its total, not with the list.
        token: the bearer token to demand of who asks for products; None lets everybody in.

    Raises:
        InputError: the file is missing or not a JSON list.
    """
    app = FastAPI(title="Catalogue", openapi_url=None)
    shelf = _Shelf(path)

    def admit(request: Request) -> None:
        given = request.headers.get("Authorization", "").encode()
        if token is not None and not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})

    @app.get("/products", dependencies=[Depends(admit)])
    def products(
        request: Request,
        limit: int = Query(0, ge=0),
        skip: int = Query(0, ge=0),
        page: int | None = Query(None, ge=1),
        per_page: int = Query(PER_PAGE, ge=1),
    ) -> Response:
        everything = shelf.products()
        if page is not None:
            return _page(request, everything, page, per_page, envelope)
        part = everything[skip : skip + limit if limit else None]
        full = {"products": part, "total": len(everything), "skip": skip, "limit": limit or len(everything)}
        return _tagged(request, full if envelope else part)

    @app.get("/products/{product_id}", dependencies=[Depends(admit)])
    def product(request: Request, product_id: str) -> Response:
        for candidate in shelf.products():
            if str(candidate["id"]) == product_id:
                return _tagged(request, candidate)
        raise HTTPException(404, f"no product {product_id}")

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "products": len(shelf.products())}

    return app


def _page(request: Request, everything: list[Any], page: int, per_page: int, envelope: bool) -> Response:
    """A numbered page; a plain list has a ``Link`` to the next one."""
    pages = -(-len(everything) // per_page)
    part = everything[(page - 1) * per_page : page * per_page]
    full = {"products": part, "total": len(everything), "page": page, "total_pages": pages}
    response = _tagged(request, full if envelope else part)
    if page < pages and not envelope:
        following = request.url.include_query_params(page=page + 1, per_page=per_page)
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


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
