"""A running application on the checkerboard shop."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipelines.core.models.bundle import Bundle
from pipelines.settings import Settings
from serving.app import create_app
from tests.serving.shop import Memory, bundle, eventually


@pytest.fixture(scope="session")
def model() -> Bundle:
    return bundle()


@pytest.fixture
def memory(model: Bundle) -> Memory:
    return Memory({1: model})


@pytest.fixture
def app(memory: Memory, tmp_path: Path) -> FastAPI:
    return create_app(Settings.load(tmp_path, {}), backends=lambda _: memory, refresh_seconds=0.05)


@pytest.fixture
def starting(app: FastAPI) -> Iterator[TestClient]:
    """The service, which may still be loading."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(starting: TestClient) -> TestClient:
    """The service, ready."""
    eventually(lambda: starting.get("/ready").status_code == 200)
    return starting
