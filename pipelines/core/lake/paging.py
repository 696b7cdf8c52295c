"""How a catalogue's API pages its list: what to ask for next, and whether the pages fit together."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

Paging = Literal["skip", "page"]
"""``limit`` and ``skip``, or ``per_page`` and ``page`` from 1. A link to the next page wins over both."""
Product = dict[str, Any]

PAGE: Final = 100
"""How many products a page is asked for; an API may give fewer, or all."""
LISTS: Final = ("products", "items", "data", "results")
_LINK: Final = re.compile(r'<([^>]*)>((?:\s*;\s*[\w*-]+(?:\s*=\s*(?:"[^"]*"|[^\s",;]+))?)*)')
_PARAMETER: Final = re.compile(r';\s*([\w*-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s",;]+)))?')


@dataclass(frozen=True)
class Page:
    """One page: its products, and what the API says of the whole list.

    ``linked`` means that the API itself says which page is next: ``next`` is its address or number, or None at the end.
    """

    products: list[Product]
    total: int | None = None
    pages: int | None = None
    linked: bool = False
    next: str | int | None = None


def parse(body: Any, link: str | None = None) -> Page:
    """The page in an answer: a plain list or an object that holds one, and its ``Link`` header (RFC 8288).

    Raises:
        ValueError: there is no list of objects in it; the text says what there is.
    """
    whole = body if isinstance(body, dict) else {}
    products = body if isinstance(body, list) else next((v for k in LISTS if isinstance(v := whole.get(k), list)), None)
    if products is None:
        raise ValueError(f"neither a list of products nor an object with one ({', '.join(LISTS)})")
    odd = next((n for n, product in enumerate(products) if not isinstance(product, dict)), None)
    if odd is not None:
        raise ValueError(f"a list whose entry {odd} is {type(products[odd]).__name__} instead of an object")
    given, links = whole.get("next"), _links(link or "")
    named = "next" in whole and (not given or isinstance(given, str) or _count(given) is not None)
    pages = next((n for k in ("total_pages", "pages") if (n := _count(whole.get(k))) is not None), None)
    return Page(
        products,
        total=_count(whole.get("total")),
        pages=pages,
        linked=named or not links.keys().isdisjoint(("first", "prev", "next", "last")),
        next=(given if named else None) or links.get("next"),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _links(header: str) -> dict[str, str]:
    """Address by relation of a ``Link`` header."""
    found: dict[str, str] = {}
    for address, parameters in _LINK.findall(header):
        for name, quoted, bare in _PARAMETER.findall(parameters):
            for relation in (quoted or bare).lower().split() if name.lower() == "rel" else ():
                found.setdefault(relation, address)
    return found


class Reading:
    """One reading of a list from its first page to its last.

    A list that changes while it is read moves items across the pages' borders, unseen. So by ``skip`` each page begins
    with the last product of the page before, which shows both an item too many and one too few; in either style an
    item on two pages, or a count that changes or isn't kept, shows it too.
    """

    def __init__(self, paging: Paging) -> None:
        self.products: list[Product] = []
        self.pages = 0
        self._paging = paging
        self._known: dict[str, Product] = {}
        self._read = 0
        """How many places of the list were read."""
        self._first = self._last = Page([])
        self._doubt: str | None = None
        self._repeats = self._whole = self._ended = False

    def query(self) -> dict[str, int] | str | None:
        """What to ask for next: parameters for the list's address, or a page's own address; None after the last."""
        if self._ended:
            return None
        if self._whole:
            return {}
        if isinstance(self._last.next, str):
            return self._last.next
        if self._paging == "page":
            return {"page": self._last.next or self.pages + 1, "per_page": PAGE}
        return {"limit": PAGE, "skip": self._read - self._overlaps}

    @property
    def _overlaps(self) -> bool:
        """Whether the next page begins with the last product of this one. Pages of one would never get on."""
        return self._paging == "skip" and not self._first.linked and len(self._last.products) > 1

    def add(self, page: Page) -> None:
        """Take the page that the last query got."""
        if self._whole:
            self.products = max(self.products, page.products, key=len)
            self._ended = True
        elif self.pages and page.products and page.products in (self._first.products, self._last.products):
            self._repeat(page)
        else:
            self._take(page)

    def _repeat(self, page: Page) -> None:
        """The last page again: that was past the end. The first page again: the API ignores the paging.

        If it gave as many as it was asked for, it may know a limit only: then the list is asked for without one.
        """
        self._repeats = page.products == self._first.products
        self._whole = self._repeats and not page.linked and len(page.products) == PAGE
        self._ended = not self._whole

    def _take(self, page: Page) -> None:
        new = page.products
        if self.pages and self._overlaps:
            if new and new[0].get("id") == self._last.products[-1].get("id"):
                new = new[1:]
            else:
                self._doubt = "its items moved between two pages"
        listed = {str(product["id"]): product for product in new if product.get("id") is not None}
        again = listed.keys() & self._known.keys()
        if again:
            self._doubt = f"item {min(again)} is on two pages"
        self._first = self._first if self.pages else page
        if (page.total, page.pages) != (self._first.total, self._first.pages):
            self._doubt = "its count changed from one page to the next"
        self.products += [product for product in new if self._known.get(str(product.get("id"))) != product]
        self._known |= listed
        self._last, self.pages, self._read = page, self.pages + 1, self._read + len(new)
        self._ended = (bool(again) and len(again) == len(listed)) or self._is_last(page, new)

    def _is_last(self, page: Page, new: list[Product]) -> bool:
        if self._first.linked:
            return not page.next
        if not new or (page.total is not None and self._read >= page.total):
            return True
        return self._paging == "page" and page.pages is not None and self.pages >= page.pages

    @property
    def doubt(self) -> str | None:
        """Why the pages may not be those of one moment; None where nothing speaks against it."""
        total = self._first.total
        if self._doubt is None and total is not None and total != len(self.products):
            return f"it counts {total} products and lists {len(self.products)}"
        return self._doubt

    @property
    def is_cut(self) -> bool:
        """Whether the API gives its first page only, and says itself that there is more."""
        first = self._first
        more = (first.total or 0) > len(self.products) or (first.pages or 0) > 1
        return self._repeats and more and len(self.products) == len(first.products)
