"""What is known about one request: its id, its stages' times, what it answered; one log line at its end."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import uuid4

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.redaction import pseudonym

REQUEST_ID: Final = "X-Request-Id"
CLOSED: Final = "default-src 'none'; frame-ancestors 'none'"
PAGE: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
"""For ``/docs``: its scripts are this service's own, one of them within the page."""
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",  # browsers heed it where the answer came by TLS only
}
UNMATCHED: Final = "(none)"
"""In place of a route: nothing is at the path that was asked for."""
_RAW: Final = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_POLICY: Final = b"content-security-policy"
_MARKS: Final = (*_RAW, (_POLICY, CLOSED.encode()))
_PAGE_MARKS: Final = (*_RAW, (_POLICY, PAGE.encode()))
_ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

access = logging.getLogger("serving.access")


class Trace:
    """Collects what the log line, the ``Server-Timing`` header, the metrics and the spans say about a request."""

    __slots__ = (
        "began_ns", "method", "notes", "parent", "request_id", "route", "spans", "stages", "started", "status",
    )  # fmt: skip

    def __init__(self, request_id: str, parent: str | None = None) -> None:
        self.request_id = request_id
        self.parent = parent
        """The caller's ``traceparent``, as it came."""
        self.method = self.route = ""
        """The route is a template: ``/users/{user_id}/features``. A path may hold a person's id."""
        self.status = 500  # what the server answers if no response starts
        self.began_ns = time.time_ns()
        self.started = time.perf_counter()
        self.stages: dict[str, float] = {}
        """Milliseconds."""
        self.spans: list[tuple[str, float, float]] = []
        """(stage, start, end), seconds since the request came."""
        self.notes: dict[str, Any] = {}

    def stage(self, name: str) -> "Stage":
        """Around the body: adds its time to the stage ``name``."""
        return Stage(self, name)

    def note(self, **values: Any) -> None:
        """Put values into the log line; ``user_id`` comes there as a pseudonym, or not at all."""
        self.notes.update(values)

    @property
    def total_ms(self) -> float:
        """Milliseconds since the request came."""
        return 1000 * (time.perf_counter() - self.started)

    @property
    def server_timing(self) -> str:
        """The value of a ``Server-Timing`` header."""
        stages = [f"{name};dur={ms:.2f}" for name, ms in self.stages.items()]
        return ", ".join([*stages, f"total;dur={self.total_ms:.2f}"])


class Stage:
    """Times its body, also one that fails."""

    __slots__ = ("_name", "_started", "_trace")

    def __init__(self, trace: Trace, name: str) -> None:
        self._trace, self._name = trace, name
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        ended, trace, name = time.perf_counter(), self._trace, self._name
        trace.stages[name] = trace.stages.get(name, 0.0) + 1000 * (ended - self._started)
        trace.spans.append((name, self._started - trace.started, ended - trace.started))


def trace_of(request: Request) -> Trace:
    """The trace of a request."""
    trace = request.state.trace
    assert isinstance(trace, Trace)
    return trace


class Tracing:
    """ASGI middleware: request id in and out, stage times, security headers, one structured log line.

    Each of ``ended`` is told of each request's trace; ``log_secret`` makes pseudonyms of users for the log.
    """

    def __init__(self, app: ASGIApp, ended: Sequence[Callable[[Trace], object]], log_secret: str | None = None) -> None:
        self.app = app
        self._ended, self._log_secret = ended, log_secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trace = _begun(scope)
        scope.setdefault("state", {})["trace"] = trace

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_marks(scope["path"], trace)]
            await send(message)

        try:
            await self.app(scope, receive, send_marked)
        finally:
            route = scope.get("route")
            trace.route = getattr(route, "path", UNMATCHED)
            for tell in self._ended:
                tell(trace)
            if access.isEnabledFor(logging.INFO):
                access.handle(_record(self._line(trace)))

    def _line(self, trace: Trace) -> dict[str, Any]:
        notes = trace.notes
        if (user_id := notes.pop("user_id", None)) is not None and self._log_secret:
            notes["user"] = pseudonym(user_id, self._log_secret)
        return {
            "request_id": trace.request_id,
            "method": trace.method,
            "path": trace.route,
            "status": trace.status,
            "ms": round(trace.total_ms, 2),
            **notes,
        }


def _begun(scope: Scope) -> Trace:
    asked = parent = ""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            asked = value.decode("latin-1")
        elif name == b"traceparent":
            parent = value.decode("latin-1")
    trace = Trace(asked if _ACCEPTED_ID.fullmatch(asked) else str(uuid4()), parent or None)
    trace.method = scope["method"]
    return trace


def _record(line: dict[str, Any]) -> logging.LogRecord:
    """The line as a record. The logger would first look through the stack for its caller, which is this module."""
    return access.makeRecord(access.name, logging.INFO, __file__, 0, "request", (), None, extra=line)


def _marks(path: str, trace: Trace) -> list[tuple[bytes, bytes]]:
    return [
        *(_PAGE_MARKS if path == "/docs" else _MARKS),
        (b"x-request-id", trace.request_id.encode()),
        (b"server-timing", trace.server_timing.encode()),
    ]
