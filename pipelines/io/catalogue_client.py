"""The shop's catalogue over HTTP: all of it, page by page, whatever hiccups the API has."""

import logging
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from pipelines.core.errors import ServiceError

log = logging.getLogger(__name__)

PAGE: Final = 100
ATTEMPTS: Final = 5
TIMEOUT_S: Final = 10.0
LONGEST_WAIT_S: Final = 30.0


def fetch_products(url: str) -> list[dict[str, Any]]:
    """Fetch every product as the API gives it, in its order.

    Takes a plain list (FakeStore) or an envelope with ``products`` and ``total`` (DummyJSON), paged by ``limit`` and
    ``skip``; an API that ignores them gives its list once. ``url`` without a path means ``/products``.

    Raises:
        ServiceError: the API doesn't answer, refuses, or answers with something else; the text names URL and reason.
    """
    url = listing_url(url)
    found: dict[str, dict[str, Any]] = {}
    skip = 0
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as client:
        while True:
            page, total = _page(_get(client, url, {"limit": PAGE, "skip": skip}), url)
            before = len(found)
            for product in page:
                found.setdefault(str(product.get("id")), product)
            skip += len(page)
            if len(found) == before or (total is not None and skip >= total):
                return list(found.values())


def listing_url(url: str) -> str:
    """The URL of the product list.

    Raises:
        ServiceError: ``url`` is not an HTTP address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ServiceError(f"catalogue: {url!r} is not an http:// or https:// address")
    return urlunsplit(parts._replace(path=parts.path if parts.path.strip("/") else "/products"))


def _get(client: httpx.Client, url: str, params: dict[str, int]) -> httpx.Response:
    """GET with retries on a refused connection, a timeout, 429 and 5xx."""
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait,
            retry=retry_if_exception(_passes),
            before_sleep=before_sleep_log(log, logging.DEBUG),
            reraise=True,
        ):
            with attempt:
                response = client.get(url, params=params)
                response.raise_for_status()
        return response
    except httpx.HTTPStatusError as error:
        raise ServiceError(f"catalogue: {error.request.url} answered {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise ServiceError(
            f"catalogue: {url} doesn't answer ({error or type(error).__name__}); is it running? "
            "`python -m pipelines catalogue` serves the simulated one"
        ) from None


def _passes(error: BaseException) -> bool:
    """Whether an error is likely to pass by itself."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


def _wait(state: RetryCallState) -> float:
    """What ``Retry-After`` asks for, else 0.2, 0.4, 0.8 … seconds."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, httpx.HTTPStatusError):
        asked = error.response.headers.get("Retry-After", "")
        if asked.isdigit():
            return min(float(asked), LONGEST_WAIT_S)
    return float(wait_exponential(multiplier=0.2, max=LONGEST_WAIT_S)(state))


def _page(response: httpx.Response, url: str) -> tuple[list[dict[str, Any]], int | None]:
    """The products of an answer and, of an envelope, how many there are in all."""
    try:
        body = response.json()
    except ValueError:
        raise ServiceError(f"catalogue: {response.url} answered something that is not JSON") from None
    products, total = (body.get("products"), body.get("total")) if isinstance(body, dict) else (body, None)
    if not isinstance(products, list) or not all(isinstance(product, dict) for product in products):
        raise ServiceError(f"catalogue: {url} answered neither a list of products nor an object with one")
    return products, total if isinstance(total, int) else None
