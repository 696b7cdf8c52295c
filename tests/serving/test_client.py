import asyncio
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serving.client import AsyncClient, Client, Retries, ServiceProblem, Unreachable, event
from serving.schemas import PartsOut, RecommendIn, SimilarIn
from tests.serving.shop import Memory

ANSWER = {"accepted": 1, "duplicates": 0, "unknown_items": []}
PROBLEM = {
    "title": "Unprocessable",
    "status": 422,
    "detail": "k: no",
    "instance": "/",
    "errors": [{"field": "k", "message": "no"}],
}


class Script:
    """Answers in order; exceptions are raised. ``asked`` holds the requests, ``waited`` the seconds between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *outcomes: httpx.Response | Exception) -> None:
        self.asked: list[httpx.Request] = []
        self.waited: list[float] = []
        self._outcomes = list(outcomes)

        async def sleep(seconds: float) -> None:
            self.waited.append(seconds)

        monkeypatch.setattr("time.sleep", self.waited.append)
        monkeypatch.setattr("asyncio.sleep", sleep)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Even(random.Random):
    def uniform(self, low: float, high: float) -> float:
        return high


def _sync(script: Script, do: Callable[[Any], Any], **options: Any) -> Any:
    with Client(
        "http://shop", "rm_a_b", transport=httpx.MockTransport(script), retries=Retries(jitter=Even()), **options
    ) as client:
        return do(client)


def _async(script: Script, do: Callable[[Any], Any], **options: Any) -> Any:
    async def run() -> Any:
        transport = httpx.MockTransport(script)
        async with AsyncClient(
            "http://shop", "rm_a_b", transport=transport, retries=Retries(jitter=Even()), **options
        ) as client:
            return await do(client)

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("run", [_sync, _async])


@BOTH
def test_client_tries_again_with_the_same_events(run, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(
        monkeypatch,
        httpx.Response(503, headers={"Retry-After": "2"}),
        httpx.ConnectError("refused"),
        httpx.Response(429),
        httpx.Response(202, json=ANSWER),
    )
    assert run(script, lambda client: client.track(event("U1", "P1", "view"))).accepted == 1
    assert script.waited == [2.0, 0.4, 0.8]
    assert len({request.content for request in script.asked}) == 1
    assert script.asked[0].headers["Authorization"] == "Bearer rm_a_b"


@BOTH
@pytest.mark.parametrize("outcome", [httpx.ReadTimeout("late"), httpx.ConnectError("refused")])
def test_client_gives_up_where_nobody_answers(run, outcome: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, *[outcome] * 4)
    with pytest.raises(Unreachable, match="after 4 attempts"):
        run(script, lambda client: client.recommend("U1"))
    assert script.waited == [0.2, 0.4, 0.8]


@BOTH
@pytest.mark.parametrize(
    ("answers", "status", "detail"),
    [
        ([(422, {}, PROBLEM)], 422, "k: no"),
        ([(503, {"Retry-After": "3600"}, PROBLEM)], 503, "k: no"),
        ([(429, {}, None)] * 4, 429, ""),
        ([(502, {}, "<html>")], 502, '"<html>"'),
    ],
)
def test_client_raises_problems(run, answers: list, status: int, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, *(httpx.Response(code, headers=headers, json=said) for code, headers, said in answers))
    with pytest.raises(ServiceProblem) as raised:
        run(script, lambda client: client.recommend("U1"))
    assert (raised.value.status, raised.value.detail) == (status, detail)


def test_client_problem_names_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceProblem) as raised:
        _sync(Script(monkeypatch, httpx.Response(422, json=PROBLEM)), lambda client: client.recommend("U1"))
    assert [(error.field, error.message) for error in raised.value.errors] == [("k", "no")]


def test_client_ready_is_an_answer_while_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {name: {"ok": False} for name in PartsOut.model_fields}
    script = Script(monkeypatch, httpx.Response(503, json={"status": "starting", "parts": parts}))
    assert _sync(script, lambda client: client.ready()).status == "starting"


def test_events_have_ids_of_their_own() -> None:
    one, other = event("U1", "P1", "purchase", price=3.5), event("U1", "P1", "purchase", event_id="mine")
    assert one.price == 3.5
    assert other.event_id == "mine"
    assert one.event_id != event("U1", "P1", "purchase").event_id


@pytest.fixture
def shop(client: TestClient, app: FastAPI) -> Client:
    """A client of the running service; TestClient is an httpx client of another make."""

    def answer(request: httpx.Request) -> httpx.Response:
        answered = client.request(request.method, str(request.url), content=request.content, headers=request.headers)
        return httpx.Response(answered.status_code, headers=dict(answered.headers), content=answered.content)

    return Client("http://testserver", transport=httpx.MockTransport(answer))


def test_client_speaks_with_the_service(shop: Client, memory: Memory) -> None:
    assert shop.recommend("U4").items[0].item_id == "P4"
    asked = RecommendIn(user_id="U4", k=2, exclude=["P4"], explain=True)
    answer = shop.recommend(asked)
    assert [item.rank for item in answer.items] == [1, 2]
    assert "P4" not in {item.item_id for item in answer.items}
    assert [one.user_id for one in shop.recommend_batch(["U1", asked]).recommendations] == ["U1", "U4"]
    assert {item.category for item in shop.similar("P4", SimilarIn(k=3, categories=["odd"])).items} == {"odd"}
    assert shop.user_features("U4").user_id == "U4"
    assert shop.ready().status == "ready"
    with pytest.raises(ServiceProblem, match="there is no item a/b"):
        shop.similar("a/b")
