"""The catalogue's client against servers that have bad days; all over real HTTP."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import ConfigError, ServiceError
from pipelines.io.intake.catalogue_client import READINGS, fetch_products
from pipelines.io.intake.catalogue_http import Patience
from tests.io.shop_api import Asked, Reply, ShopApi, by_skip, in_turn

PRODUCTS = [{"id": f"P{n:03d}", "title": f"Thing {n}", "price": n} for n in range(230)]
OTHER = [{"id": f"N{n:03d}", "title": f"New {n}", "price": n} for n in range(150)]
ONE = [{"id": 1}]
TOKEN = "s3cret-t0ken"

Start = Callable[[Callable[[Asked], Reply]], ShopApi]


@pytest.fixture
def start() -> Iterator[Start]:
    running = []

    def begin(reply: Callable[[Asked], Reply]) -> ShopApi:
        running.append(ShopApi(reply))
        return running[-1]

    yield begin
    for api in running:
        api.stop()


@pytest.fixture
def waits() -> list[float]:
    """The waits of a fetch, which are noted and not waited."""
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    return Patience(attempts=3, timeout_s=0.3, answer_s=0.5, sleep=waits.append)


# paging


def test_fetch_takes_all_pages_of_a_list(start: Start) -> None:
    api = start(by_skip(PRODUCTS))
    assert fetch_products(api.url) == PRODUCTS
    # each page begins with the last product of the one before
    assert [query["skip"] for query in api.queries] == ["0", "99", "198", "229"]


def test_fetch_stops_where_the_total_says(start: Start) -> None:
    api = start(by_skip(PRODUCTS, total=230))
    assert fetch_products(api.url) == PRODUCTS
    assert [query["skip"] for query in api.queries] == ["0", "99", "198"]


def test_fetch_takes_pages_that_are_smaller_than_asked_for(start: Start) -> None:
    api = start(lambda asked: Reply(PRODUCTS[asked.number("skip") :][:30]))
    assert fetch_products(api.url) == PRODUCTS


def test_fetch_takes_pages_of_one(start: Start) -> None:
    api = start(lambda asked: Reply(PRODUCTS[:5][asked.number("skip") :][:1]))
    assert fetch_products(api.url) == PRODUCTS[:5]


@pytest.mark.parametrize("key", ["products", "items", "data", "results"])
@pytest.mark.parametrize("extra", [{}, {"total": 230}, {"total_pages": 3}, {"pages": 3}])
def test_fetch_takes_numbered_pages(start: Start, key: str, extra: dict[str, int]) -> None:
    api = start(lambda a: Reply({key: PRODUCTS[(a.number("page") - 1) * 100 :][: a.number("per_page")], **extra}))
    assert fetch_products(api.url, paging="page") == PRODUCTS
    assert [query["page"] for query in api.queries] == ["1", "2", "3", *([] if extra else ["4"])]


def test_fetch_follows_links_in_the_header(start: Start) -> None:
    def reply(asked: Asked) -> Reply:
        cursor = int(asked.query.get("after", "0"))
        more = (
            f'<?after={cursor + 50}>; rel="next", </products>; rel=first' if cursor < 200 else "</products>; rel=first"
        )
        return Reply(PRODUCTS[cursor : cursor + 50], headers={"Link": more})

    api = start(reply)
    assert fetch_products(api.url, paging="page") == PRODUCTS
    assert [query.get("after") for query in api.queries] == [None, "50", "100", "150", "200"]


def test_fetch_follows_links_in_the_answer(start: Start) -> None:
    def reply(asked: Asked) -> Reply:
        cursor = int(asked.query.get("after", "0"))
        following = f"{api.url}?after={cursor + 100}" if cursor < 200 else None
        return Reply({"results": PRODUCTS[cursor : cursor + 100], "next": following})

    api = start(reply)
    assert fetch_products(api.url) == PRODUCTS
    assert len(api.asked) == 3


def test_fetch_keeps_the_urls_own_query(start: Start) -> None:
    api = start(in_turn(Reply(ONE)))
    fetch_products(f"{api.url}?lang=de")
    assert api.queries[0] == {"lang": "de", "limit": "100", "skip": "0"}


@pytest.mark.parametrize("paging", ["skip", "page"])
def test_fetch_takes_the_list_once_where_an_api_ignores_the_paging(start: Start, paging: Any) -> None:
    api = start(in_turn(Reply(PRODUCTS)))
    assert fetch_products(api.url, paging=paging) == PRODUCTS
    assert len(api.asked) == 2


def test_fetch_asks_without_a_limit_where_an_api_knows_nothing_else(start: Start) -> None:
    api = start(lambda asked: Reply(PRODUCTS[: int(asked.query.get("limit", "1000"))]))
    assert fetch_products(api.url) == PRODUCTS


def test_fetch_names_the_other_way_of_paging(start: Start) -> None:
    api = start(lambda a: Reply({"items": PRODUCTS[(int(a.query.get("page", "1")) - 1) * 50 :][:50], "total": 230}))
    with pytest.raises(ServiceError, match=r"more than the 50 products .* --catalogue-paging page"):
        fetch_products(api.url)


def test_fetch_stops_where_the_last_page_comes_again(start: Start) -> None:
    api = start(lambda asked: Reply(PRODUCTS[(min(asked.number("page"), 3) - 1) * 100 :][:100]))
    assert fetch_products(api.url, paging="page") == PRODUCTS


def test_fetch_stops_where_links_lead_in_a_circle(start: Start) -> None:
    following = {"a": "b", "b": "c", "c": "b"}

    def reply(asked: Asked) -> Reply:
        here = asked.query.get("at", "a")
        return Reply({"items": [{"id": here}], "next": f"?at={following[here]}"})

    api = start(reply)
    assert [product["id"] for product in fetch_products(api.url)] == ["a", "b", "c"]


# a list that changes while it is read


def changing(change: Callable[[list[Any]], list[Any]], at: int, **extra: Any) -> Callable[[Asked], Reply]:
    """A list that ``change`` changes just before request number ``at``."""
    state = {"products": PRODUCTS, "asked": 0}

    def reply(asked: Asked) -> Reply:
        state["asked"] += 1
        if state["asked"] == at:
            state["products"] = change(state["products"])
        more = {"total": len(state["products"])} if extra.get("total") else {}
        if "page" in asked.query:
            page = state["products"][(asked.number("page") - 1) * 100 :][:100]
            return Reply({"products": page, **more})
        return by_skip(state["products"], **more)(asked)

    return reply


@pytest.mark.parametrize(
    "change",
    [
        lambda products: products[:5] + products[6:],
        lambda products: [OTHER[0], *products],
        lambda products: [*products[1:], OTHER[0]],  # one goes and one comes: no count tells
    ],
    ids=["removed", "added", "replaced"],
)
@pytest.mark.parametrize("total", [False, True])
def test_fetch_begins_anew_where_items_move_between_pages(start: Start, change: Any, total: bool) -> None:
    api = start(changing(change, at=2, total=total))
    assert fetch_products(api.url) == change(PRODUCTS)


@pytest.mark.parametrize("change", [lambda p: p[:5] + p[6:], lambda p: [OTHER[0], *p]], ids=["removed", "added"])
def test_fetch_begins_anew_where_numbered_pages_move(start: Start, change: Any) -> None:
    api = start(changing(change, at=2, total=True))
    assert fetch_products(api.url, paging="page") == change(PRODUCTS)


def test_fetch_gives_up_a_list_that_never_keeps_still(start: Start) -> None:
    def reply(asked: Asked) -> Reply:
        return by_skip(OTHER[: len(api.asked)] + PRODUCTS)(asked)

    api = start(reply)
    with pytest.raises(ServiceError, match=f"changed each of the {READINGS} times it was read"):
        fetch_products(api.url)


def test_fetch_takes_a_list_that_holds_an_item_twice_and_stays_so(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    twice = [*PRODUCTS, {"id": "P000", "title": "Another"}]
    api = start(by_skip(twice))
    assert fetch_products(api.url) == twice
    assert "item P000 is on two pages" in caplog.text


def test_fetch_says_where_the_total_is_wrong(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    api = start(by_skip(PRODUCTS, total=240))
    assert fetch_products(api.url) == PRODUCTS
    assert "counts 240 products and lists 230" in caplog.text


# trying again


def test_fetch_waits_as_long_as_it_is_asked_to(start: Start, patience: Patience, waits: list[float]) -> None:
    busy = Reply(status=429, headers={"Retry-After": "7"})
    api = start(in_turn(busy, busy, Reply(ONE)))
    assert fetch_products(api.url, patience=patience) == ONE
    assert waits == [7, 7]


def test_fetch_waits_until_the_date_it_is_given(start: Start, patience: Patience, waits: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    api = start(in_turn(Reply(status=503, headers={"Retry-After": date}), Reply(ONE)))
    assert fetch_products(api.url, patience=patience) == ONE
    assert 10 < waits[0] <= 20


@pytest.mark.parametrize("given", ["86400", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_fetch_waits_no_longer_than_its_limit(start: Start, patience: Patience, waits: list[float], given: str) -> None:
    api = start(in_turn(Reply(status=429, headers={"Retry-After": given}), Reply(ONE)))
    fetch_products(api.url, patience=patience)
    assert waits == [patience.longest_wait_s]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}])
def test_fetch_waits_twice_as_long_each_time_and_a_chance_part(
    start: Start, waits: list[float], headers: dict[str, str]
) -> None:
    api = start(in_turn(*[Reply(status=503, headers=headers)] * 4, Reply(ONE)))
    assert fetch_products(api.url, patience=Patience(first_wait_s=1.0, sleep=waits.append)) == ONE
    assert all(low <= wait <= low + 1 for wait, low in zip(waits, (1, 2, 4, 8), strict=True))
    assert len({wait % 1 for wait in waits}) == 4


@pytest.mark.parametrize(
    "bad", [Reply(hang=True), Reply(ONE, cut=True), Reply(PRODUCTS, reset=True), Reply(ONE, drip=True)], ids=str
)
def test_fetch_tries_again_after_a_broken_answer(start: Start, bad: Reply, waits: list[float]) -> None:
    patience = Patience(attempts=2, timeout_s=0.3, answer_s=0.2, sleep=waits.append)
    api = start(in_turn(bad, Reply(ONE)))
    assert fetch_products(api.url, patience=patience) == ONE
    assert len(waits) == 1


def test_fetch_gives_up_after_its_attempts(start: Start, patience: Patience) -> None:
    api = start(in_turn(Reply(status=503, headers={"Retry-After": "60"})))
    with pytest.raises(ServiceError, match="answered 503 and asks to come back in 60 s"):
        fetch_products(api.url, patience=patience)
    assert len(api.asked) == patience.attempts


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(status=404), "answered 404"),
        (Reply(status=401), "wants a token: set RECOMART_CATALOGUE_TOKEN"),
        (Reply(b"<html>"), "not JSON"),
        (Reply(b"[" * 100_000), "not JSON"),
        (Reply(b""), "not JSON"),
        (Reply({"goods": []}), "neither a list of products nor an object with one"),
        (Reply({"products": {"1": {}}}), "neither a list"),
        (Reply([{"id": 1}, None]), "entry 1 is NoneType instead of an object"),
        (Reply(status=304), "304, though nothing of it is kept"),
        (Reply(status=302, headers={"Location": "ftp://x/"}), "doesn't answer"),
    ],
    ids=str,
)
def test_fetch_refuses_at_once(start: Start, patience: Patience, reply: Reply, message: str) -> None:
    api = start(in_turn(reply))
    with pytest.raises(ServiceError, match=message) as raised:
        fetch_products(api.url, patience=patience)
    assert api.url in str(raised.value)
    assert len(api.asked) == 1


def test_fetch_says_when_nobody_answers(patience: Patience) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ServiceError, match="is it running"):
        fetch_products(f"http://127.0.0.1:{port}", patience=patience)


@pytest.mark.parametrize("url", ["shop.example/products", "ftp://shop.example", "http://[", "http://a:b/c"])
def test_fetch_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(ServiceError, match="address"):
        fetch_products(url)


def test_fetch_gives_half_a_character_as_a_question_mark(start: Start) -> None:
    api = start(in_turn(Reply(b'[{"id": 1, "title": "\\ud83d\\ude00 \\ud800"}]')))
    assert fetch_products(api.url) == [{"id": 1, "title": "\U0001f600 ?"}]


# kept pages


def tagged(products: list[Any]) -> Callable[[Asked], Reply]:
    """A list whose pages have ETags."""

    def reply(asked: Asked) -> Reply:
        page = by_skip(products)(asked)
        tag = f'"{hash(str(page.body))}"'
        if asked.headers["If-None-Match"] == tag:
            return Reply(status=304)
        return Reply(page.body, headers={"ETag": tag})

    return reply


def failing(reply: Callable[[Asked], Reply], skip: str) -> Callable[[Asked], Reply]:
    """The page at ``skip`` is out of order."""
    return lambda asked: Reply(status=404) if asked.query["skip"] == skip else reply(asked)


def test_fetch_again_is_answered_304(start: Start, tmp_path: Path) -> None:
    api = start(tagged(PRODUCTS))
    fetch_products(api.url, cache=tmp_path)
    first, api.asked = len(api.asked), []
    assert fetch_products(api.url, cache=tmp_path) == PRODUCTS
    assert len(api.asked) == first
    assert all(asked.headers["If-None-Match"] for asked in api.asked)


def test_fetch_again_takes_the_page_that_changed(start: Start, tmp_path: Path) -> None:
    api = start(tagged(PRODUCTS))
    fetch_products(api.url, cache=tmp_path)
    changed = [product | {"price": 9} if product["id"] == "P150" else product for product in PRODUCTS]
    api.reply = tagged(changed)
    assert fetch_products(api.url, cache=tmp_path) == changed


def test_fetch_again_without_etags_asks_for_all(start: Start, tmp_path: Path) -> None:
    api = start(by_skip(PRODUCTS))
    fetch_products(api.url, cache=tmp_path)
    api.reply = by_skip(OTHER)
    assert fetch_products(api.url, cache=tmp_path) == OTHER


def test_failed_fetch_says_what_came_and_goes_on_from_there(start: Start, tmp_path: Path, patience: Patience) -> None:
    api = start(failing(by_skip(PRODUCTS), skip="198"))
    with pytest.raises(ServiceError, match="404; 199 products on 2 pages came before and are kept"):
        fetch_products(api.url, cache=tmp_path)
    api.asked, api.reply = [], by_skip(PRODUCTS)
    assert fetch_products(api.url, cache=tmp_path) == PRODUCTS
    assert [query["skip"] for query in api.queries] == ["198", "229"]


def test_failed_fetch_without_a_cache_says_what_came(start: Start) -> None:
    api = start(failing(by_skip(PRODUCTS), skip="198"))
    with pytest.raises(ServiceError, match=r"199 products on 2 pages came before$"):
        fetch_products(api.url)


def test_failed_fetch_goes_on_by_304_where_there_are_etags(start: Start, tmp_path: Path) -> None:
    api = start(failing(tagged(PRODUCTS), skip="198"))
    with pytest.raises(ServiceError, match="are kept"):
        fetch_products(api.url, cache=tmp_path)
    api.asked, api.reply = [], tagged(PRODUCTS)
    assert fetch_products(api.url, cache=tmp_path) == PRODUCTS
    assert [bool(asked.headers["If-None-Match"]) for asked in api.asked] == [True, True, False, False]


def test_page_older_than_an_hour_does_not_stand_in(start: Start, tmp_path: Path) -> None:
    api = start(failing(by_skip(PRODUCTS), skip="198"))
    with pytest.raises(ServiceError):
        fetch_products(api.url, cache=tmp_path)
    for path in [p for p in tmp_path.rglob("*") if p.is_file()]:
        os.utime(path, (then := time.time() - 3700, then))
    api.asked, api.reply = [], by_skip(PRODUCTS)
    fetch_products(api.url, cache=tmp_path)
    assert api.queries[0]["skip"] == "0"


def test_goes_on_from_kept_pages_only_where_they_still_fit(start: Start, tmp_path: Path) -> None:
    api = start(failing(by_skip(PRODUCTS), skip="198"))
    with pytest.raises(ServiceError):
        fetch_products(api.url, cache=tmp_path)
    api.reply = by_skip(PRODUCTS[1:])
    assert fetch_products(api.url, cache=tmp_path) == PRODUCTS[1:]


def test_pages_of_a_list_that_never_kept_still_do_not_stand_in(start: Start, tmp_path: Path) -> None:
    api = start(lambda asked: by_skip(OTHER[: len(api.asked)] + PRODUCTS)(asked))
    with pytest.raises(ServiceError, match="changed each"):
        fetch_products(api.url, cache=tmp_path)
    assert list(tmp_path.rglob("*.json")) == []


def test_damaged_page_is_fetched_anew(start: Start, tmp_path: Path) -> None:
    api = start(tagged(PRODUCTS))
    fetch_products(api.url, cache=tmp_path)
    for path in tmp_path.rglob("*.json"):
        path.write_text(path.read_text()[:50])
    assert fetch_products(api.url, cache=tmp_path) == PRODUCTS


def test_kept_pages_are_those_of_the_last_list_only(start: Start, tmp_path: Path) -> None:
    api = start(tagged(PRODUCTS))
    fetch_products(api.url, cache=tmp_path)
    api.reply = tagged(PRODUCTS[:50])
    fetch_products(api.url, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.json"))) == 2  # 50 products, and the one at skip=49


# the token


def test_fetch_shows_its_token(start: Start) -> None:
    api = start(lambda a: Reply(ONE if a.headers["Authorization"] == f"Bearer {TOKEN}" else b"", 200))
    assert fetch_products(api.url, token=TOKEN) == ONE


def test_fetch_tells_no_other_host_the_token_on_a_redirect(start: Start) -> None:
    other = start(in_turn(Reply(ONE)))
    api = start(in_turn(Reply(status=302, headers={"Location": other.url})))
    assert fetch_products(api.url, token=TOKEN) == ONE
    assert {asked.headers["Authorization"] for asked in api.asked} == {f"Bearer {TOKEN}"}
    assert {asked.headers["Authorization"] for asked in other.asked} == {None}


def test_fetch_tells_no_other_host_the_token_on_a_link(start: Start) -> None:
    other = start(in_turn(Reply({"items": [{"id": 2}], "next": None})))
    api = start(in_turn(Reply({"items": ONE, "next": other.url})))
    assert fetch_products(api.url, token=TOKEN) == [{"id": 1}, {"id": 2}]
    assert [asked.headers["Authorization"] for asked in other.asked] == [None]


@pytest.mark.parametrize(
    "reply",
    [lambda _: Reply(status=401), lambda _: Reply(status=503), lambda a: Reply(str(a.headers).encode())],
    ids=["401", "503", "echo"],
)
def test_token_shows_in_no_error_and_no_log(
    start: Start, patience: Patience, caplog: pytest.LogCaptureFixture, reply: Callable[[Asked], Reply]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ServiceError) as raised:
        fetch_products(start(reply).url, token=TOKEN, patience=patience)
    assert TOKEN not in str(raised.value) + caplog.text


def test_refused_token_is_named_by_its_variable(start: Start) -> None:
    with pytest.raises(ServiceError, match="refuses the token of RECOMART_CATALOGUE_TOKEN"):
        fetch_products(start(in_turn(Reply(status=401))).url, token=TOKEN)


def test_token_that_no_header_can_hold_is_refused_unseen() -> None:
    with pytest.raises(ConfigError, match="RECOMART_CATALOGUE_TOKEN") as raised:
        fetch_products("http://127.0.0.1:9", token=f"{TOKEN}\n")
    assert TOKEN not in str(raised.value)


def test_password_in_the_url_is_not_shown(start: Start) -> None:
    url = start(in_turn(Reply(status=404))).url.replace("//", "//me:hunter2@")
    with pytest.raises(ServiceError) as raised:
        fetch_products(url)
    assert "hunter2" not in str(raised.value)
