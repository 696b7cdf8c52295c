"""What is known about one request: its id, its stages' times, what it answered; one log line at its end."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: Final = "X-Request-Id"
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

access = logging.getLogger("serving.access")


class Trace:
    """Collects what the log line and the ``Server-Timing`` header say about a request."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.started = time.perf_counter()
        self.stages: dict[str, float] = {}
        self.notes: dict[str, Any] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the body's time to the stage ``name``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + 1000 * (time.perf_counter() - started)

    def note(self, **values: Any) -> None:
        """Put values into the log line."""
        self.notes |= values

    @property
    def total_ms(self) -> float:
        """Milliseconds since the request came."""
        return 1000 * (time.perf_counter() - self.started)

    @property
    def server_timing(self) -> str:
        """The value of a ``Server-Timing`` header."""
        return ", ".join(f"{name};dur={ms:.2f}" for name, ms in (self.stages | {"total": self.total_ms}).items())


def trace_of(request: Request) -> Trace:
    """The trace of a request."""
    trace = request.state.trace
    assert isinstance(trace, Trace)
    return trace


class Tracing:
    """ASGI middleware: request id in and out, stage times, security headers, one structured log line.

    ``ended`` is told of each request's path and trace.
    """

    def __init__(self, app: ASGIApp, ended: Callable[[str, Trace], object]) -> None:
        self.app = app
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(REQUEST_ID, "")
        trace = Trace(asked if _ACCEPTED_ID.fullmatch(asked) else str(uuid4()))
        scope.setdefault("state", {})["trace"] = trace
        status = 500  # what the server answers if no response starts

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marks = SECURITY_HEADERS | {REQUEST_ID: trace.request_id, "Server-Timing": trace.server_timing}
                MutableHeaders(scope=message).update(marks)
            await send(message)

        try:
            await self.app(scope, receive, send_marked)
        finally:
            self._ended(scope["path"], trace)
            # The query string may hold a person's id: the log keeps the path only.
            access.info(
                "request",
                extra={
                    "request_id": trace.request_id,
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round(trace.total_ms, 2),
                    **trace.notes,
                },
            )
