"""How much a request may bring, and how long it may take."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_HEADER_BYTES: Final = 16_384
MOST_HEADERS: Final = 100
LONGEST_QUERY: Final = 8_192

Refuse = Callable[[int, str], Awaitable[None]]
"""Answers with a problem: status and detail."""


@dataclass(frozen=True)
class Limits:
    """Bytes of a body, and seconds until there must be an answer."""

    body_bytes: int
    seconds: float


def too_much(scope: Scope) -> tuple[int, str] | None:
    """(status, detail) where the request's first part is larger than any honest one."""
    headers = scope["headers"]
    if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers) > MOST_HEADER_BYTES:
        return 431, f"at most {MOST_HEADERS} headers of {MOST_HEADER_BYTES} bytes together are read"
    if len(scope["query_string"]) > LONGEST_QUERY:
        return 414, f"a query of at most {LONGEST_QUERY} bytes is read"
    return None


class Exchange:
    """One request through ``app``, with a body of at most so many bytes, answered within so many seconds.

    A synchronous route can't be stopped, so after the deadline its answer is thrown away and its thread ends in its own
    time.
    """

    def __init__(self, app: ASGIApp, limits: Limits, receive: Receive, send: Send, refuse: Refuse) -> None:
        self._app, self._limits, self._receive, self._send, self._refuse = app, limits, receive, send, refuse
        self._read = 0
        self._reading = self._has_all = False
        self._answering = self._refused = False
        self._late: asyncio.Task[None] | None = None

    async def run(self, scope: Scope) -> None:
        """Handle the request."""
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            await self._refuse(413, self._too_large)
            return
        deadline = asyncio.get_running_loop().call_later(self._limits.seconds, self._give_up)
        try:
            await self._app(scope, self._bounded_receive, self._guarded_send)
        except ClientDisconnect:
            if not self._refused:
                raise
        finally:
            deadline.cancel()
            if self._late is not None:
                await self._late

    @property
    def _too_large(self) -> str:
        return f"a body of at most {self._limits.body_bytes} bytes is read"

    async def _bounded_receive(self) -> Message:
        self._reading = True
        message = await self._receive()
        self._reading = False
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._has_all = not message.get("more_body", False)
            if self._read > self._limits.body_bytes:
                if not self._answering:
                    self._refused = True
                    await self._refuse(413, self._too_large)
                return {"type": "http.disconnect"}
        return message

    async def _guarded_send(self, message: Message) -> None:
        if not self._refused:
            self._answering = True
            await self._send(message)

    def _give_up(self) -> None:
        """Answer in place of the application, unless it has begun to."""
        if self._answering or self._refused:
            return
        self._refused = True
        within = f"within {self._limits.seconds:g} seconds"
        waits = self._reading and not self._has_all
        late = (408, f"the body didn't arrive {within}") if waits else (504, f"no answer {within}")
        self._late = asyncio.get_running_loop().create_task(_done(self._refuse(*late)))


async def _done(answer: Awaitable[None]) -> None:
    await answer
