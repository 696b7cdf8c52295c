"""What each request needs: nothing, or a key with a scope. What isn't listed here needs ``admin``."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from starlette.types import Scope as Connection

from pipelines.core.api_keys import Scope
from pipelines.core.hosts import is_loopback

METRICS: Final = "/metrics"
OPEN: Final = frozenset({"/", "/health", "/ready", "/docs", "/docs/oauth2-redirect", "/openapi.json", METRICS})
ASSETS: Final = "/static-offline-docs/"
"""Of the page ``/docs``."""
READING: Final = ("GET", "HEAD", "OPTIONS")
REPLAY: Final = "/recommendations/"
ASKING: Final = "/recommend"
EVENTS: Final = "/events"
FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})

REMEMBERED: Final = 256
"""Callers whose address was judged last: parsing one takes longer than all else that is asked here."""


def needs(method: str, path: str, metrics_open: bool = True) -> Scope | None:
    """The scope that a request needs; None where anybody may."""
    if method in READING:
        if path == METRICS and not metrics_open:
            return Scope.READ
        if path in OPEN or path.startswith(ASSETS):
            return None
        return Scope.ADMIN if path.startswith(REPLAY) else Scope.READ
    if method == "POST" and (path == ASKING or path.startswith(f"{ASKING}/")):
        return Scope.READ
    return Scope.WRITE if method == "POST" and path == EVENTS else Scope.ADMIN


def is_from_here(connection: Connection, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request comes from a program on this machine: not through a proxy on it, nor from a foreign web page.

    A page whose name was bent to this machine still asks under its own name (DNS rebinding), and browsers say which
    requests are another site's. A peer that is no IP address is an in-process transport; a Unix socket's, which has
    none, is a proxy.
    """
    client = connection.get("client")
    if not client or not FORWARDED.isdisjoint(headers) or headers.get(b"sec-fetch-site") == b"cross-site":
        return False
    return _is_here(client[0], headers.get(b"host", b""))


@lru_cache(REMEMBERED)
def _is_here(peer: str, host: bytes) -> bool:
    """Whether a peer's address, and the name by which it asks, are this machine's."""
    try:
        address = ip_address(peer)
    except ValueError:
        return True
    return address.is_loopback and is_loopback(_without_port(host.decode("latin-1")))


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host
