"""What a page says of the list it is of; how whole lists are read is in tests/io/intake/test_catalogue_client.py."""

from typing import Any

import pytest

from pipelines.core.lake.paging import Page, Reading, parse

ONE = [{"id": 1}]


@pytest.mark.parametrize(
    ("link", "linked", "following"),
    [
        (None, False, None),
        ('<https://shop.example/p?page=2>; rel="next"', True, "https://shop.example/p?page=2"),
        ("</p?a=1,2;3>; rel=next; title=two", True, "/p?a=1,2;3"),
        ('<?p=1>; rel="prev first", <?p=3>; title="a, <b>; rel=x"; rel="NEXT last"', True, "?p=3"),
        ("<?p=1>; rel=prev", True, None),
        ("</style.css>; rel=preload; as=style", False, None),
        ("nonsense", False, None),
    ],
)
def test_page_takes_its_next_from_the_header(link: str | None, linked: bool, following: str | None) -> None:
    assert parse(ONE, link) == Page(ONE, linked=linked, next=following)


@pytest.mark.parametrize(
    ("given", "linked", "following"),
    [
        ({"next": "/p?page=2"}, True, "/p?page=2"),
        ({"next": 2}, True, 2),
        ({"next": None}, True, None),
        ({"next": ""}, True, None),
        ({"next": True}, False, None),  # says that there is one, not where
        ({}, False, None),
    ],
)
def test_page_takes_its_next_from_the_object(given: dict[str, Any], linked: bool, following: Any) -> None:
    assert parse({"items": ONE, **given}) == Page(ONE, linked=linked, next=following)


def test_page_takes_only_whole_numbers_for_counts() -> None:
    body = {"data": ONE, "total": "230", "total_pages": True, "pages": 3}
    assert parse(body) == Page(ONE, total=None, pages=3)


def test_reading_goes_to_the_numbered_page_that_is_named_next() -> None:
    reading = Reading("page")
    reading.add(Page(ONE, linked=True, next=7))
    assert reading.query() == {"page": 7, "per_page": 100}
    reading.add(Page([{"id": 2}], linked=True))
    assert reading.query() is None
    assert reading.doubt is None
