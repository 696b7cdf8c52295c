"""Keys in a database of the test's own, and the service that reads them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient

from pipelines.core.api_keys import Scope
from pipelines.io import postgres
from pipelines.io.live import api_keys
from pipelines.settings import Settings
from serving.app import create_app
from serving.security import watch
from tests.serving.shop import Memory, eventually

Serve = Callable[..., TestClient]
MakeKey = Callable[..., str]


@pytest.fixture
def make_key(settings: Settings) -> MakeKey:
    """Make a key with scopes."""

    def make(*scopes: Scope, rate_limit: float | None = None) -> str:
        with postgres.connect(settings) as connection:
            return api_keys.create(connection, "test", scopes, rate_limit)

    return make


@pytest.fixture
def serve(settings: Settings, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start the service with some settings changed, on the test's own Postgres and Redis; it is ready."""
    monkeypatch.setattr(watch, "REFRESH_S", 0.05)
    with ExitStack() as running:

        def start(prepare: Callable[..., object] = lambda app: None, **changed: object) -> TestClient:
            app = create_app(settings.model_copy(update=changed), backends=lambda _: memory, refresh_seconds=0.05)
            prepare(app)
            client = running.enter_context(TestClient(app, raise_server_exceptions=False))
            eventually(lambda: client.get("/ready").status_code == 200)
            return client

        yield start
