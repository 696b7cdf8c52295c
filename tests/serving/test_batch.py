import pytest
from fastapi.testclient import TestClient


def test_batch_answers_each_query_as_alone(client: TestClient) -> None:
    queries = [{"user_id": "U4", "k": 3}, {"user_id": None, "recent_items": ["P1"], "k": 2}, {"user_id": "nobody"}]
    response = client.post("/recommend/batch", json={"queries": queries})
    assert response.status_code == 200
    answers = response.json()["recommendations"]
    assert [answer["user_id"] for answer in answers] == ["U4", None, "nobody"]
    assert len({answer["recommendation_id"] for answer in answers}) == 3
    for query, answer in zip(queries, answers, strict=True):
        alone = client.post("/recommend", json=query).json()
        assert (answer["strategy"], answer["items"]) == (alone["strategy"], alone["items"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"queries": []}, "queries"),
        ({"queries": [{"user_id": "U1"}] * 101}, "queries"),
        ({"queries": [{"user_id": "U1"}, {"user_id": "U1", "k": 0}]}, "queries.k"),
        ([{"user_id": "U1"}], "body"),
    ],
)
def test_batch_refuses_wrong_queries(client: TestClient, body: dict, field: str) -> None:
    response = client.post("/recommend/batch", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
