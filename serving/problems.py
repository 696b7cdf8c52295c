"""Errors over HTTP: RFC 9457 ``application/problem+json``."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from serving.tracing import REQUEST_ID, SECURITY_HEADERS, trace_of

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 2
MOST_NAMED: Final = 20
"""Mistakes of a request that an answer lists."""

log = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """What is wrong with one field of the request."""

    field: str
    message: str


class Problem(BaseModel):
    """A problem in the form of RFC 9457."""

    type: str = Field(default="about:blank", description="about:blank: the status says all")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for")
    errors: list[FieldProblem] | None = Field(default=None, description="Where the request is invalid: the fields")


class Unavailable(Exception):  # noqa: N818  it is an outcome for the client, no defect
    """The service can't answer now; the text says why. Answered as 503."""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of a route that may answer with these problems, besides 500."""
    return {s: {"model": Problem, "description": HTTPStatus(s).phrase} for s in (*statuses, 500)}


def install(app: FastAPI) -> None:
    """Answer every error as a problem, and say so in the OpenAPI document."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(Exception, _unexpected)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]


def response(
    path: str,
    status: int,
    detail: str,
    *,
    type_: str = "about:blank",
    errors: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The problem as an answer to a request for ``path``."""
    title = HTTPStatus(status).phrase
    problem = Problem(type=type_, title=title, status=status, detail=detail, instance=path, errors=errors)
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, media_type=MEDIA_TYPE)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    several = isinstance(error.body, list)
    found = [FieldProblem(field=_field(e["loc"], several), message=e["msg"]) for e in error.errors()]
    detail = "; ".join(f"{e.field}: {e.message}" for e in found[:MOST_NAMED])
    detail += f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    found = found[:MOST_NAMED]
    return response(request.url.path, 422, detail, type_="urn:recomart:problem:invalid-request", errors=found)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    details = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not allowed here"}
    ours = error.detail != HTTPStatus(error.status_code).phrase
    detail = error.detail if ours else details.get(error.status_code, error.detail)
    return response(request.url.path, error.status_code, detail, headers=error.headers)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return response(request.url.path, 503, str(error), type_="urn:recomart:problem:not-ready", headers=headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """Say nothing about the cause: uvicorn logs the traceback, the request id leads there."""
    trace = trace_of(request)
    detail = f"an unexpected error; the service's log has it under request {trace.request_id}"
    log.error("unexpected %s", type(error).__name__, extra={"request_id": trace.request_id})
    return response(request.url.path, 500, detail, headers=SECURITY_HEADERS | {REQUEST_ID: trace.request_id})


def _field(loc: tuple[int | str, ...], several: bool) -> str:
    """``("query", "k")`` → ``k``; the place itself (``body``) where no field is named.

    ``several``: the body is a list, so the place in it comes first: ``("body", 3, "k")`` → ``3.k``.
    """
    names = [str(part) for n, part in enumerate(loc[1:]) if isinstance(part, str) or (several and n == 0)]
    return ".".join(names) or str(loc[0])


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with problems under their own media type (FastAPI files every model under JSON)."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        for operation in (o for path in schema["paths"].values() for o in path.values()):
            for status, response in operation["responses"].items():
                if status >= "400" and "$ref" in response.get("content", {}).get("application/json", {}).get(
                    "schema", {}
                ):
                    _move(response["content"])
        app.openapi_schema = schema
    return app.openapi_schema


def _move(content: dict[str, Any]) -> None:
    if content["application/json"]["schema"]["$ref"].endswith("/Problem"):
        content[MEDIA_TYPE] = content.pop("application/json")
