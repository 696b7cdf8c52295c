"""What the guard may answer, and which key it wants, in the OpenAPI document."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from serving import problems
from serving.security import policy

SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of `python -m pipelines keys create`"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key"},
}
ANY: Final = (414, 431, 504)
WITH_BODY: Final = (400, 408, 413)
WITH_KEY: Final = (401, 403, 429, 503)


def install(app: FastAPI, metrics_open: bool) -> None:
    """Have the application's OpenAPI document say all of it."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        schema = plain()
        _describe(schema, metrics_open)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _describe(schema: dict[str, Any], metrics_open: bool) -> None:
    """Add to the document; what is there already stays."""
    schema["components"]["securitySchemes"] = SCHEMES
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            needed = policy.needs(method.upper(), path, metrics_open)
            if needed is not None:
                operation["security"] = [{name: []} for name in SCHEMES]
                operation["x-scope"] = str(needed)
            statuses = [*ANY, *(WITH_BODY if "requestBody" in operation else ()), *(WITH_KEY if needed else ())]
            for status in sorted(statuses):
                operation["responses"].setdefault(str(status), _problem(status))


def _problem(status: int) -> dict[str, Any]:
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return answer
