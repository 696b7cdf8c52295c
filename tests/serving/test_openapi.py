"""The running service, asked by what its OpenAPI document promises: no 5xx, no answer that it doesn't describe."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipelines.settings import Settings
from serving.app import create_app
from tests.conftest import MODULES, own_databases
from tests.feature_data import product, published
from tests.serving.shop import SIZE, Memory, bundle, events, eventually

pytestmark = [pytest.mark.slow, pytest.mark.services]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
OPERATIONS = [
    ("GET", "/recommend"),
    ("POST", "/recommend"),
    ("POST", "/recommend/batch"),
    ("GET", "/items/{item_id}/similar"),
    ("POST", "/events"),
    ("GET", "/recommendations/{recommendation_id}"),
    ("GET", "/users/{user_id}/features"),
    ("DELETE", "/users/{user_id}"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
]
ALL_RIGHT = ("/health", "/ready", "/metrics")
"""Nothing can be wrong about a request for these."""
EXAMPLES = 40
LONGEST_URL = 60_000
"""What is longer the web server itself refuses, before any of this service sees it."""


@pytest.fixture(scope="module")
def address(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service on the checkerboard shop, over HTTP, with a Postgres and a Redis."""
    load_all_checks()
    with own_databases(servers, tmp_path_factory.mktemp("openapi"), MODULES) as own:
        catalogue = [product(f"P{i}", -100, category=f"c{i % 2}") for i in range(SIZE)]
        columns = {"device": None, "price": None, "category": None}
        published(own, [columns | row for row in events().to_pylist()], catalogue)
        memory = Memory({1: bundle()})
        app = create_app(own.model_copy(update={"rate_limit": 0}), backends=lambda _: memory, refresh_seconds=0.5)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            eventually(lambda: server.started and app.state.services.keeper.snapshot is not None)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def promised(address: str) -> schemathesis.BaseSchema:
    refusals = {"expected-statuses": ["4xx"]}
    config = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": refusals}})
    return schemathesis.openapi.from_url(f"{address}/openapi.json", config=config)


def test_document_promises_what_is_tested_here(promised: schemathesis.BaseSchema) -> None:
    found = {(op.ok().method.upper(), op.ok().path) for op in promised.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_service_answers_as_it_promises(
    promised: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    cases = promised[path][method].as_strategy(generation_mode=mode)

    @given(case=cases)
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def answers(case: schemathesis.Case) -> None:
        request = case.as_transport_kwargs()
        url = requests.Request(request["method"], request["url"], params=request["params"]).prepare().url
        assume(len(str(url)) < LONGEST_URL)
        case.call_and_validate(checks=CHECKS, timeout=20)

    with suppress(Unsatisfiable) if path in ALL_RIGHT else nullcontext():
        answers()
