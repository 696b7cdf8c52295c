"""GET with patience: tries again what may pass by itself, and tells the token to nobody but the API's own host."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from pipelines.core.errors import ConfigError, ServiceError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long an API is waited for; times are seconds."""

    attempts: int = 5
    timeout_s: float = 10.0
    """For a connection, and between two pieces of an answer."""
    answer_s: float = 60.0
    """For one whole answer."""
    first_wait_s: float = 0.2
    """Before the second attempt; doubled before each further one, and up to as much again by chance."""
    longest_wait_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Answer:
    """What came: 200 with a body, or 304 for what the caller has already."""

    url: str
    status: int
    body: bytes
    etag: str | None
    link: str | None


class Api:
    """One HTTP API, with its token and our patience."""

    def __init__(self, url: str, token: str | None, patience: Patience) -> None:
        """Open a client; connects at the first request.

        Raises:
            ConfigError: the token can't be a header's value.
        """
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ConfigError("RECOMART_CATALOGUE_TOKEN holds a space, a line break or a letter that is not ASCII")
        self._own, self._token, self._patience = _origin(httpx.URL(url)), token, patience
        self._client = httpx.Client(timeout=patience.timeout_s, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, url: str, etag: str | None = None) -> Answer:
        """GET ``url``, unless it is still what ``etag`` names.

        Tried again: no connection, no answer in time, one that breaks off, 429 and 5xx.

        Raises:
            ServiceError: none of the attempts got an answer, or the API refuses; the text names URL and reason.
        """
        attempt = Retrying(
            stop=stop_after_attempt(self._patience.attempts),
            wait=self._wait,
            retry=retry_if_exception(_passes),
            sleep=self._patience.sleep,
            before_sleep=lambda state: log.debug("%s: attempt %d failed", shown(url), state.attempt_number),
            reraise=True,
        )
        try:
            return attempt(self._once, url, etag)
        except httpx.HTTPStatusError as error:
            raise ServiceError(f"catalogue: {self._refusal(error.response)}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceError(
                f"catalogue: {shown(url)} doesn't answer ({error or type(error).__name__}); is it running? "
                "`python -m pipelines catalogue` serves the simulated one"
            ) from None

    def _once(self, url: str, etag: str | None) -> Answer:
        headers = {"Accept": "application/json"}
        headers |= {"If-None-Match": etag} if etag else {}
        if self._token and _origin(httpx.URL(url)) == self._own:  # httpx drops it on a redirect to another host
            headers["Authorization"] = f"Bearer {self._token}"
        end = time.monotonic() + self._patience.answer_s
        with self._client.stream("GET", url, headers=headers) as response:
            if response.status_code != httpx.codes.NOT_MODIFIED:
                response.raise_for_status()
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > end:
                    raise httpx.ReadTimeout(f"no whole answer in {self._patience.answer_s:g} s")
        etag, link = response.headers.get("ETag"), response.headers.get("Link")
        return Answer(str(response.url), response.status_code, bytes(body), etag, link)

    def _wait(self, state: RetryCallState) -> float:
        """What ``Retry-After`` asks for, else 0.2, 0.4, 0.8 … seconds and a chance part, so that callers spread."""
        patience = self._patience
        error = state.outcome.exception() if state.outcome else None
        asked = _retry_after(error.response) if isinstance(error, httpx.HTTPStatusError) else None
        if asked is not None:
            return min(asked, patience.longest_wait_s)
        backoff = wait_exponential_jitter(patience.first_wait_s, patience.longest_wait_s, jitter=patience.first_wait_s)
        return backoff(state)

    def _refusal(self, response: httpx.Response) -> str:
        status, asked = response.status_code, _retry_after(response)
        text = f"{shown(str(response.request.url))} answered {status}"
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            known = "it refuses the token of" if self._token else "it wants a token: set"
            return f"{text}: {known} RECOMART_CATALOGUE_TOKEN"
        return f"{text} and asks to come back in {asked:.0f} s" if asked else text


def shown(url: str) -> str:
    """A URL as it may be shown: without user and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _passes(error: BaseException) -> bool:
    """Whether an error is likely to pass by itself."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error
    ours = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
    return isinstance(error, httpx.TransportError) and not isinstance(error, ours)


def _retry_after(response: httpx.Response) -> float | None:
    """The seconds until ``Retry-After``, given as seconds or as an HTTP date; None without a usable one."""
    given = response.headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        moment = parsedate_to_datetime(given)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
