from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from tests.serving.shop import SIZE, Memory, eventually


def _similar(client: TestClient, item_id: str, **asked: Any) -> list[dict]:
    response = client.get(f"/items/{quote(item_id, safe='')}/similar", params=asked)
    assert response.status_code == 200, response.text
    assert response.json()["item_id"] == item_id
    return response.json()["items"]


def test_similar_items_are_neighbours_first(client: TestClient) -> None:
    """On the checkerboard those who have P4 have even items."""
    items = _similar(client, "P4", k=4)
    assert {item["item_id"] for item in items} == {"P0", "P2", "P6", "P8"}
    assert [item["rank"] for item in items] == [1, 2, 3, 4]
    assert {(item["source"], item["reason"]) for item in items} == {("covisitation", "often viewed with it")}
    assert [item["score"] for item in items] == sorted((item["score"] for item in items), reverse=True)
    assert items[0].keys() == {"item_id", "score", "rank", "source", "reason", "title", "price", "category"}


def test_similar_items_go_on_with_titles_and_never_with_itself(client: TestClient) -> None:
    """All titles begin with “Product”."""
    items = _similar(client, "P4", k=100)
    assert len({item["item_id"] for item in items}) == len(items) == SIZE - 1
    assert [item["source"] for item in items] == ["covisitation"] * 4 + ["title"] * 5


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"exclude": ["P0", "P2"], "categories": ["even"]}, {"P6", "P8"}),
        ({"categories": ["odd"], "max_price": 40}, {"P1", "P3"}),
        ({"exclude_categories": ["odd"], "min_price": 70}, {"P6", "P8"}),
        ({"categories": ["nothing"]}, set()),
    ],
)
def test_similar_items_keep_to_the_filters(client: TestClient, filters: dict, expected: set[str]) -> None:
    assert {item["item_id"] for item in _similar(client, "P4", k=100, **filters)} == expected


def test_similar_items_are_in_stock_unless_asked(client: TestClient, memory: Memory) -> None:
    memory.shelf.sold_out = {"P0"}
    eventually(lambda: "P0" not in {item["item_id"] for item in _similar(client, "P4", k=100)})
    assert "P0" in {item["item_id"] for item in _similar(client, "P4", k=100, in_stock=False)}


def test_similar_items_of_one_that_came_after_the_model(client: TestClient, memory: Memory) -> None:
    memory.shelf.newcomers = {"N/1": ("Product P3", "odd"), "N2": ("nothing alike", "odd")}
    first = _similar(client, "N/1", k=1)[0]
    assert (first["item_id"], first["source"]) == ("P3", "title")
    assert {item["category"] for item in _similar(client, "N2", k=5)} == {"odd"}


def test_similar_items_of_an_unknown_item_are_not_found(client: TestClient) -> None:
    response = client.get("/items/nothing/similar")
    assert response.status_code == 404
    assert response.json()["detail"] == "there is no item nothing"


def test_similar_items_need_the_store_for_unknown_items_only(client: TestClient, memory: Memory) -> None:
    memory.shelf.down = True
    assert len(_similar(client, "P4", k=4)) == 4
    response = client.get("/items/nothing/similar")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize("query", ["k=0", "k=101", "min_price=2&max_price=1", "category=odd"])
def test_similar_items_refuse_wrong_queries(client: TestClient, query: str) -> None:
    assert client.get(f"/items/P4/similar?{query}").status_code == 422
