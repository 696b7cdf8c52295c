import pytest
from fastapi import FastAPI

from pipelines.core.api_keys import Scope
from serving.security import policy


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/health", None),
        ("GET", "/ready", None),
        ("GET", "/metrics", None),
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
        ("GET", "/", None),
        ("GET", "/static-offline-docs/swagger-ui.css", None),
        ("GET", "/recommend", Scope.READ),
        ("POST", "/recommend", Scope.READ),
        ("POST", "/recommend/batch", Scope.READ),
        ("GET", "/items/P1/similar", Scope.READ),
        ("GET", "/users/U1/features", Scope.READ),
        ("POST", "/events", Scope.WRITE),
        ("GET", "/recommendations/7", Scope.ADMIN),
        ("DELETE", "/users/U1", Scope.ADMIN),
        ("POST", "/health", Scope.ADMIN),
        ("PUT", "/recommend", Scope.ADMIN),
        ("POST", "/recommendations", Scope.ADMIN),
        ("POST", "/events/more", Scope.ADMIN),
        ("GET", "/static-offline-docs", Scope.READ),
    ],
)
def test_each_request_needs_its_scope(method: str, path: str, needed: Scope | None) -> None:
    assert policy.needs(method, path) == needed


def test_metrics_may_need_a_key() -> None:
    assert policy.needs("GET", "/metrics", metrics_open=False) == Scope.READ


def here(client: object, **headers: str) -> bool:
    raw = {
        name.replace("_", "-").encode(): value.encode()
        for name, value in ({"host": "127.0.0.1:8000"} | headers).items()
    }
    return policy.is_from_here({"type": "http", "client": client}, raw)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_request_from_this_machine_is_from_here(address: str) -> None:
    assert here((address, 5))


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "[::1]:8000", "[::1]", "127.0.0.1"])
def test_request_to_this_machine_by_its_names_is_from_here(host: str) -> None:
    assert here(("127.0.0.1", 5), host=host)


def test_request_within_the_process_is_from_here() -> None:
    assert here(("testclient", 5), host="testserver")


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (("10.0.0.7", 5), {}),
        (("2001:db8::1", 5), {}),
        (None, {}),
        (("127.0.0.1", 5), {"x_forwarded_for": "10.0.0.7"}),
        (("127.0.0.1", 5), {"forwarded": "for=10.0.0.7"}),
        (("127.0.0.1", 5), {"host": "shop.example:8000"}),
        (("127.0.0.1", 5), {"host": ""}),
        (("127.0.0.1", 5), {"sec_fetch_site": "cross-site"}),
    ],
)
def test_request_from_elsewhere_through_a_proxy_or_a_foreign_page_is_not(
    client: object, headers: dict[str, str]
) -> None:
    assert not here(client, **headers)


def test_every_route_of_the_application_is_in_the_policy(app: FastAPI) -> None:
    """Whatever a new route is, it needs a key unless it is listed as open."""
    paths = app.openapi()["paths"]
    free = {
        path
        for path, operations in paths.items()
        for method in operations
        if policy.needs(method.upper(), path) is None
    }
    assert free == {"/health", "/ready", "/metrics"}
