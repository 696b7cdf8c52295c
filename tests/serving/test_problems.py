import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "user_id"),
        ("k=5", "user_id"),
        ("user_id=", "user_id"),
        ("user_id=" + "u" * 257, "user_id"),
        ("user_id=U1&k=0", "k"),
        ("user_id=U1&k=101", "k"),
        ("user_id=U1&k=many", "k"),
        ("user_id=U1&k=", "k"),
    ],
)
def test_get_recommend_bad_input_names_the_field(client: TestClient, query: str, field: str) -> None:
    response = client.get(f"/recommend?{query}")
    problem = response.json()
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/problem+json")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["errors"][0]["message"] in problem["detail"]
    assert (problem["status"], problem["title"], problem["instance"]) == (422, "Unprocessable Entity", "/recommend")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"k": 3}, "body"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": "U1", "k": 1000}, "k"),
        ({"user_id": "U1", "exclude": "P1"}, "exclude"),
        ({"user_id": "U1", "categories": []}, "categories"),
        ({"user_id": "U1", "min_price": -1}, "min_price"),
        ({"user_id": "U1", "min_price": 5, "max_price": 4}, "body"),
        ({"user_id": "U1", "in_stock": "perhaps"}, "in_stock"),
        ({"user_id": "U1", "colour": "red"}, "colour"),
        ([], "body"),
    ],
)
def test_post_recommend_bad_input_names_the_field(client: TestClient, body: object, field: str) -> None:
    response = client.post("/recommend", json=body)
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/problem+json")
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_post_recommend_broken_json_is_a_problem(client: TestClient) -> None:
    response = client.post("/recommend", content=b'{"user_id": ', headers={"Content-Type": "application/json"})
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/problem+json")


def test_unknown_path_is_a_problem(client: TestClient) -> None:
    response = client.get("/nowhere")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is nothing at /nowhere",
        "instance": "/nowhere",
    }


def test_wrong_method_is_a_problem_and_names_the_right_one(client: TestClient) -> None:
    response = client.delete("/recommend")
    assert (response.status_code, response.headers["Content-Type"]) == (405, "application/problem+json")
    assert response.json()["detail"] == "DELETE is not allowed here"
    assert response.headers["Allow"]


def test_unexpected_error_tells_nothing_but_where_to_look(app: FastAPI) -> None:
    def broken() -> None:
        raise RuntimeError("the secret is 42")

    app.add_api_route("/broken", broken)
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/broken", headers={"X-Request-Id": "r-1"})
    assert (response.status_code, response.headers["Content-Type"]) == (500, "application/problem+json")
    assert "42" not in response.text
    assert "r-1" in response.json()["detail"]
    assert response.headers["X-Request-Id"] == "r-1"


def test_every_operation_documents_its_problems(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    expected = {
        ("/recommend", "get"): {"422", "500", "503"},
        ("/recommend", "post"): {"422", "500", "503"},
        ("/users/{user_id}/features", "get"): {"404", "422", "500", "503"},
        ("/users/{user_id}", "delete"): {"404", "422", "500", "503"},
        ("/health", "get"): {"500"},
        ("/ready", "get"): {"500", "503"},
        ("/metrics", "get"): {"500"},
    }
    guards = {"400", "401", "403", "408", "413", "414", "429", "431", "504"}  # tests/serving/security has them
    found = {
        (path, method): {status for status in operation["responses"] if status >= "400"} - guards
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert expected.items() <= found.items()
    assert all("500" in statuses for statuses in found.values())
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert paths["/recommend"]["get"]["responses"]["422"]["content"] == problem
    assert paths["/users/{user_id}/features"]["get"]["responses"]["404"]["content"] == problem
