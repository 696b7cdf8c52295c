"""The quick route answers as FastAPI's own does, whatever is asked."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from serving.routes.quick import QuickRoute
from serving.schemas import K, RecommendIn, UserId


async def _agent(request: Request) -> str:
    return request.headers["user-agent"]


def _app(route_class: type[APIRoute]) -> TestClient:
    router = APIRouter(route_class=route_class)

    @router.get("/r")
    async def asked(
        user_id: Annotated[UserId, Query()], agent: Annotated[str, Depends(_agent)], k: Annotated[K, Query()] = 10
    ) -> Response:
        return Response(repr((user_id, k, agent)))

    @router.post("/r")
    async def told(asked: RecommendIn, agent: Annotated[str, Depends(_agent)]) -> Response:
        return Response(repr((asked, asked.model_fields_set, agent)))

    app = FastAPI()
    app.include_router(router)
    return TestClient(app)


@pytest.fixture(scope="module")
def both() -> Callable[..., tuple[int, str]]:
    """What both routes answer to one request: status and body."""
    quick, usual = _app(QuickRoute), _app(APIRoute)

    def answer(method: str, query: str = "", **how: Any) -> tuple[int, str]:
        one, other = (client.request(method, f"/r{query}", **how) for client in (quick, usual))
        assert (one.status_code, one.text) == (other.status_code, other.text)
        return one.status_code, one.text

    return answer


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?user_id=U1", 200),
        ("?user_id=U1&k=3&more=1", 200),
        ("?user_id=%C3%BC%20+b&k=+3", 200),
        ("?k=5&user_id=U1&user_id=U2", 200),  # the last one counts
        ("?user_id=U1&k=0", 422),
        ("?user_id=U1&k=x", 422),
        ("?user_id=U1&k=", 422),
        ("?user_id=&k=5", 422),
        ("?user_id=a%00", 422),
        ("?k=5", 422),
        ("", 422),
    ],
)
def test_query_is_read_as_fastapi_reads_it(both: Callable[..., tuple[int, str]], query: str, status: int) -> None:
    assert both("GET", query)[0] == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"user_id": "U1", "k": 5, "in_stock": false}', 200),
        ('{"user_id": null}', 200),
        ('{"recent_items": ["P1"], "min_price": 1, "k": "7"}', 200),
        ('{"user_id": "U1", "user_id": "U2"}', 200),
        ('{"user_id": "U1", "k": 18446744073709551616}', 422),
        ('{"user_id": "U1", "k": 5.0}', 200),
        ('{"user_id": "U1", "colour": "red"}', 422),
        ('{"user_id": "U1"', 422),
        ("null", 422),
        ("[]", 422),
        ("", 422),
    ],
)
def test_body_is_read_as_fastapi_reads_it(both: Callable[..., tuple[int, str]], body: str, status: int) -> None:
    assert both("POST", content=body, headers={"content-type": "application/json"})[0] == status


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "application/x+json", "text/plain", None])
def test_body_of_another_media_type_is_fastapis(both: Callable[..., tuple[int, str]], media: str | None) -> None:
    both("POST", content='{"user_id": "U1"}', headers={"content-type": media} if media else {})


def test_usual_requests_are_read_without_fastapi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing.solve_dependencies", None)
    client = _app(QuickRoute)
    assert client.get("/r?user_id=U1&k=3").text == "('U1', 3, 'testclient')"
    assert client.post("/r", json={"user_id": "U1"}).status_code == 200
