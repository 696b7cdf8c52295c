"""The middleware before every request: size of its head, key, rate, then the application within its limits."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.core.api_keys import ApiKey
from serving import problems
from serving.security import limits, policy, rate
from serving.security.keys import Keyring, Refusal
from serving.security.limits import Exchange, Limits
from serving.security.rate import Limiter
from serving.tracing import Trace


@dataclass(frozen=True)
class Guarding:
    """What the guard goes by. ``rejected`` is told the status of each request that it turns away."""

    keyring: Keyring
    limiter: Limiter
    limits: Limits
    rate_limit: float
    """Requests a second of a key that has no limit of its own; 0: as many as it likes."""
    metrics_open: bool
    rejected: Callable[[int], object]


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, guarding: Guarding) -> None:
        self._app, self._by = app, guarding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def refuse(status: int, detail: str, **headers: str) -> None:
            self._by.rejected(status)
            await problems.response(scope["path"], status, detail, headers=headers)(scope, receive, send)

        if (much := limits.too_much(scope)) is not None:
            await refuse(*much)
            return
        needed = policy.needs(scope["method"], scope["path"], self._by.metrics_open)
        if needed is not None:
            headers = dict(scope["headers"])
            admitted = self._by.keyring.admit(scope, headers, needed)
            if isinstance(admitted, Refusal):
                await refuse(admitted.status, admitted.detail, **_how(admitted))
                return
            if seconds := self._wait(scope, admitted):
                detail = f"too many requests: more are answered in {seconds} s"
                await refuse(429, detail, **{"Retry-After": str(seconds)})
                return
        await Exchange(self._app, self._by.limits, receive, send, refuse).run(scope)

    def _wait(self, scope: Scope, key: ApiKey | None) -> int:
        """Seconds until the caller may come again; 0: now. Its key goes into the log line."""
        if key is not None:
            trace = scope["state"]["trace"]
            assert isinstance(trace, Trace)
            trace.note(key=key.id)
        allowed = self._by.rate_limit if key is None or key.rate_limit is None else key.rate_limit
        if not allowed:
            return 0
        return self._by.limiter.wait(key.id if key else rate.address((scope.get("client") or [None])[0]), allowed)


def _how(refusal: Refusal) -> dict[str, str]:
    """The header that says how to do better."""
    match refusal.status:
        case 401:
            return {"WWW-Authenticate": "Bearer"}
        case 503:
            return {"Retry-After": str(problems.RETRY_SECONDS)}
        case _:
            return {}
