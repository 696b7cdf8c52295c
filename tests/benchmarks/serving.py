"""The HTTP service on the demo shop: start to ready, and latency beside an endpoint that returns a constant."""

import http.client
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from fastapi import FastAPI

from pipelines.commands import programs
from pipelines.io import services
from pipelines.settings import Settings
from tests.benchmarks.pipeline import connect_shop
from tests.conftest import CHECKOUT, pipelines

REQUESTS = 1_000


def run(settings: Settings) -> Iterator[str]:
    """Yield the start-up and the latencies, one client, ten items, 2,500 users in turn."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        try:
            yield from _measure(settings, Path(folder))
        finally:
            services.stop_all(Path(folder))


def _measure(settings: Settings, root: Path) -> Iterator[str]:
    _build(root, settings)
    own = settings.model_copy(update={"root": root, "mlflow_tracking_uri": f"sqlite:///{root}/mlflow.db"})
    started = time.perf_counter()
    address = programs.serve(own, port_is_asked_for=False)
    ready = time.perf_counter() - started
    users = [f"/recommend?user_id=U{n:05d}&k=10" for n in range(1, REQUESTS + 1)]
    sample = get(address, users[:1])[1][0]
    (root / "answer.json").write_bytes(sample)
    constant = serve_constant(root)
    ours, theirs = _latencies(address, users), _latencies(constant, ["/"] * REQUESTS)
    yield f"start to ready {ready:.1f} s"
    yield f"/recommend k=10        p50 {ours[0]:.1f} ms, p99 {ours[1]:.1f} ms"
    yield f"the same JSON, constant p50 {theirs[0]:.1f} ms, p99 {theirs[1]:.1f} ms"


def _build(root: Path, settings: Settings) -> None:
    """Run every stage on the simulated shop in ``root``."""
    for name in ("feature_repo", "serving"):
        shutil.copytree(CHECKOUT / name, root / name)
    shutil.copy(CHECKOUT / "params.yaml", root)
    environ = settings.exported() | {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db"}
    connect_shop(root, "simulated")
    for stage in yaml.safe_load((CHECKOUT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]:
        pipelines(root, stage, **environ)


def serve_constant(root: Path) -> str:
    """A FastAPI application that returns the bytes of ``answer.json``."""
    port = 8123
    program = services.Program(
        name="constant",
        argv=(sys.executable, "-m", "uvicorn", "tests.benchmarks.serving:constant", "--factory", "--port", str(port),
              "--no-access-log"),
        env={"PYTHONPATH": str(CHECKOUT)},
        ready=f"http://127.0.0.1:{port}/",
    )  # fmt: skip
    services.start(root, program)
    return f"http://127.0.0.1:{port}"


def constant() -> FastAPI:
    """The floor: FastAPI and uvicorn with nothing to do."""
    body, app = Path("answer.json").read_bytes(), FastAPI()

    answered = json.loads(body)

    @app.get("/")
    async def answer() -> dict[str, Any]:
        return answered

    return app


def _latencies(address: str, paths: list[str]) -> tuple[float, float]:
    """p50 and p99 in milliseconds over one kept connection, after fifty requests to warm up."""
    get(address, paths[:50])
    took, _ = get(address, paths)
    return float(np.percentile(took, 50)), float(np.percentile(took, 99))


def get(address: str, paths: list[str], body: str | None = None) -> tuple[list[float], list[bytes]]:
    """Milliseconds and answer of each request, a POST where there is a ``body``; any status but 200 is an error."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    took, bodies = [], []
    for path in paths:
        started = time.perf_counter()
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        took.append((time.perf_counter() - started) * 1000)
        assert response.status == 200, answer
        bodies.append(answer)
    json.loads(bodies[0])
    return took, bodies
