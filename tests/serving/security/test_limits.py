"""One exchange, message by message."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from serving.security.limits import Exchange, Limits

SCOPE: Scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
LIMITS = Limits(body_bytes=10, seconds=0.1)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body)(scope, receive, send)


async def tardy(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.3)
    await PlainTextResponse("late")(scope, receive, send)


async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0.3)
    await send({"type": "http.response.body", "body": b"done"})


def statuses(app: Callable[[Scope, Receive, Send], Awaitable[None]], *parts: bytes, ends: bool = True) -> list[int]:
    """The statuses that go out when the body comes in ``parts``; it never ends unless it ``ends``."""
    sent: list[int] = []
    over = asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        messages[-1]["more_body"] = False

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await over.wait()  # as uvicorn: the answer is out
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    async def refuse(status: int, detail: str) -> None:
        sent.append(status)
        over.set()

    asyncio.run(Exchange(app, LIMITS, receive, send, refuse).run(SCOPE))
    return sent


def test_body_within_the_limits_passes() -> None:
    assert statuses(echo, b"12345", b"67890") == [200]


def test_body_that_grows_too_large_is_refused_once() -> None:
    assert statuses(echo, b"12345", b"678901", b"2") == [413]


def test_body_that_does_not_arrive_is_waited_for_until_the_deadline() -> None:
    assert statuses(echo, b"123", ends=False) == [408]


def test_answer_after_the_deadline_is_thrown_away() -> None:
    assert statuses(tardy, b"") == [504]


def test_answer_that_has_begun_may_take_its_time() -> None:
    assert statuses(streaming, b"") == [200]
