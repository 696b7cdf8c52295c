import math
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from tests.serving.shop import SIZE, Memory, eventually

SEEN_BY_U4 = {"P0", "P2", "P6", "P8"}


def test_recommend_known_user_gets_the_withheld_item(client: TestClient) -> None:
    for user in range(SIZE):
        answer = client.get("/recommend", params={"user_id": f"U{user}", "k": 1}).json()
        assert answer["strategy"] == "personalized"
        assert [item["item_id"] for item in answer["items"]] == [f"P{user}"]


def test_recommend_answer_has_the_agreed_shape(client: TestClient) -> None:
    response = client.get("/recommend", params={"user_id": "U4", "k": 3})
    answer = response.json()
    assert response.status_code == 200
    assert list(answer) == [
        "recommendation_id", "user_id", "model_version", "feature_service", "strategy", "degraded", "items",
    ]  # fmt: skip
    assert str(UUID(answer.pop("recommendation_id")))
    items = answer.pop("items")
    assert answer == {
        "user_id": "U4",
        "model_version": "1",
        "feature_service": "ranker_v1",
        "strategy": "personalized",
        "degraded": False,
    }
    assert list(items[0]) == ["item_id", "score", "rank", "source", "reason", "title", "price", "category"]
    assert (items[0]["title"], items[0]["price"], items[0]["category"]) == ("Product P4", 50.0, "even")
    assert [item["rank"] for item in items] == [1, 2, 3]
    assert [item["score"] for item in items] == sorted((item["score"] for item in items), reverse=True)


def test_recommend_shows_nothing_that_the_user_has_seen(client: TestClient) -> None:
    answer = client.get("/recommend", params={"user_id": "U4", "k": 100}).json()
    assert {item["item_id"] for item in answer["items"]} == {f"P{i}" for i in range(SIZE)} - SEEN_BY_U4


def test_recommend_ids_differ_between_requests(client: TestClient) -> None:
    one, other = (client.get("/recommend", params={"user_id": "U4"}).json() for _ in range(2))
    assert one["recommendation_id"] != other["recommendation_id"]
    assert one["items"] == other["items"]


@pytest.mark.parametrize("user_id", ["nobody", "U", "пользователь", "u" * 256])
def test_recommend_unknown_user_gets_popular_items(client: TestClient, user_id: str) -> None:
    answer = client.get("/recommend", params={"user_id": user_id, "k": 4}).json()
    assert answer["strategy"] == "popular"
    assert answer["degraded"] is False
    assert len(answer["items"]) == 4
    assert {item["source"] for item in answer["items"]} == {"popularity"}
    for item in answer["items"]:
        assert item["reason"] in (f"popular in {item['category']}", f"trending in {item['category']}")


def test_recommend_by_post_without_filters_equals_get(client: TestClient) -> None:
    got = client.get("/recommend", params={"user_id": "U3", "k": 5}).json()
    posted = client.post("/recommend", json={"user_id": "U3", "k": 5}).json()
    assert posted["items"] == got["items"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"exclude": ["P4", "not an item"]}, {"P1", "P3", "P5", "P7", "P9"}),
        ({"categories": ["even"]}, {"P4"}),
        ({"categories": ["odd", "none such"]}, {"P1", "P3", "P5", "P7", "P9"}),
        ({"categories": ["none such"]}, set()),
        ({"min_price": 60}, {"P5", "P7", "P9"}),
        ({"min_price": 40, "max_price": 60}, {"P3", "P4", "P5"}),
        ({"max_price": 50, "categories": ["even"], "exclude": ["P4"]}, set()),
    ],
)
def test_recommend_filters_let_through_exactly(client: TestClient, filters: dict, expected: set[str]) -> None:
    answer = client.post("/recommend", json={"user_id": "U4", "k": 100, **filters}).json()
    assert {item["item_id"] for item in answer["items"]} == expected


@pytest.mark.parametrize("user_id", ["U4", "nobody"])
def test_recommend_fills_from_popularity_where_filters_leave_too_few(client: TestClient, user_id: str) -> None:
    """The usual depth is 5 an item source: without filling, the cheapest items are out of popularity's reach."""
    answer = client.post("/recommend", json={"user_id": user_id, "k": 2, "max_price": 40, "categories": ["odd"]}).json()
    assert {item["item_id"] for item in answer["items"]} == {"P1", "P3"}


def test_recommend_leaves_out_what_is_sold_out_unless_asked(client: TestClient, memory: Memory) -> None:
    memory.shelf.sold_out = {"P4"}
    asked = {"user_id": "U4", "k": 1}
    eventually(lambda: client.post("/recommend", json=asked).json()["items"][0]["item_id"] != "P4")
    answer = client.post("/recommend", json={**asked, "in_stock": False}).json()
    assert answer["items"][0]["item_id"] == "P4"


def test_recommend_item_without_price_is_in_no_price_range(client: TestClient, memory: Memory) -> None:
    memory.shelf.prices["P4"] = math.nan
    eventually(lambda: client.get("/recommend", params={"user_id": "U4", "k": 1}).json()["items"][0]["price"] is None)
    answer = client.post("/recommend", json={"user_id": "U4", "k": 10, "min_price": 0}).json()
    assert "P4" not in {item["item_id"] for item in answer["items"]}


def test_recommend_degrades_when_the_store_fails_and_recovers(client: TestClient, memory: Memory) -> None:
    asked = {"user_id": "U4", "k": 3}
    memory.shelf.down = True
    answer = client.get("/recommend", params=asked).json()
    assert (answer["degraded"], answer["strategy"]) == (True, "personalized")
    assert answer["items"][0]["item_id"] == "P4"
    assert answer["items"][0]["title"] == "Product P4"
    memory.shelf.down = False
    eventually(lambda: client.get("/recommend", params=asked).json()["degraded"] is False)


def test_user_features_come_with_their_age(client: TestClient) -> None:
    answer = client.get("/users/U4/features").json()
    assert (answer["user_id"], answer["feature_service"]) == ("U4", "ranker_v1")
    assert answer["as_of"] == "2026-03-01T00:00:00Z"
    assert answer["features"]["user_activity_v1__views_7d"] == 3.0


def test_user_features_of_nobody_are_not_found(client: TestClient) -> None:
    response = client.get("/users/nobody/features")
    assert response.status_code == 404
    assert response.json()["detail"] == "no features are known for user nobody"


def test_user_features_are_unavailable_while_the_store_fails(client: TestClient, memory: Memory) -> None:
    memory.shelf.down = True
    response = client.get("/users/U4/features")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
