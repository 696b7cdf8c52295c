"""The shop's catalogue over HTTP: all of it, page by page, whatever hiccups the API has."""

import json
import logging
import re
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from pipelines.core.errors import ServiceError
from pipelines.core.lake import paging as pages
from pipelines.core.lake.paging import Page, Paging, Product, Reading
from pipelines.io.intake.catalogue_cache import Kept, KeptPage
from pipelines.io.intake.catalogue_http import Answer, Api, Patience, shown

log = logging.getLogger(__name__)

READINGS: Final = 4
"""How often a list that changes while it is read is begun anew before it is given up."""
MOST_PAGES: Final = 100_000


def fetch_products(
    url: str,
    *,
    paging: Paging = "skip",
    token: str | None = None,
    cache: Path | None = None,
    patience: Patience = Patience(),  # noqa: B008  frozen
) -> list[Product]:
    """Fetch every product as the API gives it, in its order.

    Takes a plain list (FakeStore) or an object that holds one and its ``total`` (DummyJSON), and follows a link to the
    next page; an API that ignores the paging gives its list once. ``url`` without a path means ``/products``.

    Args:
        url: the address of the product list.
        paging: how the API wants to be asked for a page.
        token: a bearer token; sent to the host of ``url`` only.
        cache: a folder where pages are kept: what didn't change is not sent again, and after a failure only what is
            missing is fetched.
        patience: when to try again, and when to give up.

    Raises:
        ConfigError: the token can't be sent.
        ServiceError: the API doesn't answer, refuses, answers with something else, or its list doesn't keep still; the
            text names URL and reason.
    """
    url = listing_url(url)
    with _Pages(url, paging, token, cache, patience) as source:
        previous: list[Product] | None = None
        for number in range(READINGS):
            reading = _read(source, paging, anew=number > 0)
            if reading.is_cut:
                source.end()
                raise ServiceError(_cut(url, paging, reading))
            if reading.doubt is None or previous == reading.products:
                if reading.doubt:  # twice the same: the API is like this
                    log.warning("%s: %s", shown(url), reading.doubt)
                source.end()
                return reading.products
            log.info("%s: %s, so it is read anew", shown(url), reading.doubt)
            previous = reading.products
        source.end()
        raise ServiceError(
            f"catalogue: {shown(url)} changed each of the {READINGS} times it was read ({reading.doubt}): "
            "run the same command again when it is quiet"
        )


def _cut(url: str, paging: Paging, reading: Reading) -> str:
    other = "page" if paging == "skip" else "skip"
    return (
        f"catalogue: {shown(url)} has more than the {len(reading.products)} products that it gives for every page: "
        f"it may page the other way, so connect it with --catalogue-paging {other}"
    )


def listing_url(url: str) -> str:
    """The URL of the product list.

    Raises:
        ServiceError: ``url`` is not an HTTP address.
    """
    try:
        parts = urlsplit(url)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise ServiceError(f"catalogue: {shown(url)!r} is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ServiceError(f"catalogue: {shown(url)!r} is not an http:// or https:// address")
    return urlunsplit(parts._replace(path=parts.path if parts.path.strip("/") else "/products"))


def _read(source: "_Pages", paging: Paging, anew: bool) -> Reading:
    """Read the list once.

    Raises:
        ServiceError: a page fails; the text says what came before it.
    """
    reading = Reading(paging)
    try:
        while (query := reading.query()) is not None:
            if reading.pages == MOST_PAGES:
                raise ServiceError(f"catalogue: {shown(source.url)} has no end after {MOST_PAGES} pages")
            reading.add(source.page(query, anew))
    except ServiceError as error:
        if not reading.pages:
            raise
        came = f"{len(reading.products)} products on {reading.pages} pages came before"
        kept = " and are kept: the same command goes on from there" if source.keeps else ""
        raise ServiceError(f"{error}; {came}{kept}") from None
    return reading


class _Pages(AbstractContextManager["_Pages"]):
    """The pages of one list: kept ones where they are still right, else from the API."""

    def __init__(self, url: str, paging: Paging, token: str | None, cache: Path | None, patience: Patience) -> None:
        self.url = self._last = url
        self.keeps = cache is not None
        self._api = Api(url, token, patience)
        self._kept = Kept(cache, f"{paging} {url}") if cache else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._api.__exit__(kind, error, at)

    def page(self, query: dict[str, int] | str, anew: bool) -> Page:
        """One page.

        Args:
            query: parameters for the list's address, or an address relative to the last page's.
            anew: whether no kept page may stand in without the API's word.

        Raises:
            ServiceError: the API doesn't give it, or gives something else.
        """
        url = self._address(query)
        kept = self._kept.get(url) if self._kept else None
        if kept and self._kept and not kept.etag and not anew and self._kept.is_young(url):
            return self._parse(kept)
        answer = self._api.get(url, kept.etag if kept else None)
        if answer.status == httpx.codes.NOT_MODIFIED:
            if kept is None:
                raise ServiceError(f"catalogue: {shown(url)} answered 304, though nothing of it is kept")
            return self._parse(kept)
        came = KeptPage(_json(answer), answer.url, answer.etag, answer.link)
        page = self._parse(came)
        if self._kept:
            self._kept.put(url, came)
        return page

    def _address(self, query: dict[str, int] | str) -> str:
        if isinstance(query, str):
            return urljoin(self._last, query)
        return str(httpx.URL(self.url).copy_merge_params(query))

    def _parse(self, page: KeptPage) -> Page:
        self._last = page.base
        try:
            return pages.parse(page.body, page.link)
        except ValueError as error:
            raise ServiceError(f"catalogue: {shown(page.base)} answered {error}") from None

    def end(self) -> None:
        """Nothing is missing any more, or what came is of no use: the next fetch asks for every page."""
        if self._kept:
            self._kept.end()


def _json(answer: Answer) -> Any:
    """The JSON of an answer; halves of characters, which no file can hold, become question marks.

    Raises:
        ServiceError: it is something else.
    """
    try:
        value = json.loads(answer.body)
        if re.search(rb"\\u[dD][89a-fA-F]", answer.body):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        return value
    except (ValueError, RecursionError):
        raise ServiceError(f"catalogue: {shown(answer.url)} answered something that is not JSON") from None
