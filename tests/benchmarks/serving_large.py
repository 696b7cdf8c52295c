"""The service on a large shop, one worker: latency alone, throughput beside a constant and beside ``feast serve``.

Server and load share the machine's processors. The load comes from wrk where it is installed, else from a generator of
our own, which takes more of the processor away from the server.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.commands import programs
from pipelines.core.models.bundle import Bundle
from pipelines.io import services
from pipelines.io.models import user_lists
from pipelines.settings import Settings
from tests.benchmarks import large_shop, serving
from tests.conftest import CHECKOUT

SECONDS = 10
CONNECTIONS = 8
CANDIDATES = 300
FEAST_PORT = 8124
LISTED = 5_000
"""Users whose lists are made at once."""


def run(settings: Settings, items: int) -> Iterator[str]:
    """Yield the figures of a shop of 100,000 users and ``items`` items."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        try:
            yield from _measure(settings, Path(folder), items)
        finally:
            services.stop_all(Path(folder))


def _measure(settings: Settings, root: Path, items: int) -> Iterator[str]:
    os.environ.update(settings.exported() | {"PYTHONPATH": str(CHECKOUT), "RECOMART_RATE_LIMIT": "0"})
    own = settings.model_copy(
        update={"root": root, "mlflow_tracking_uri": f"sqlite:///{root}/mlflow.db", "rate_limit": 0}
    )
    model = large_shop.build(own, items)
    started = time.perf_counter()
    address = programs.serve(own, port_is_asked_for=False)
    ready = time.perf_counter() - started
    yield f"{items:,} items, {large_shop.USERS:,} users: start to ready {ready:.1f} s"
    rng = np.random.default_rng(7)
    paths = [f"/recommend?user_id={user}&k=10" for user in rng.choice(model.user_ids, 2_000)]
    body = serving.get(address, paths[:300])[1][0]
    took, _ = serving.get(address, paths)
    p50, p99 = np.percentile(took, [50, 99])
    yield f"/recommend k=10, about {CANDIDATES} candidates: p50 {p50:.1f} ms, p99 {p99:.1f} ms, alone"
    (root / "answer.json").write_bytes(body)
    ours = _throughput(root, address, paths)
    constant = _throughput(root, serving.serve_constant(root), ["/"])
    yield f"throughput {ours:.0f}/s; the same JSON, constant {constant:.0f}/s: {ours / constant:.0%}"
    feast = _feast(own, root, model.item_ids[:: max(1, items // CANDIDATES)][:CANDIDATES].tolist())
    yield f"feast serve, features of {CANDIDATES} candidates only {feast:.1f}/s: ours is {ours / feast:.0f}×"
    yield f"memory of the worker {_memory(root, 'api')}"
    both = programs.serve(own.model_copy(update={"workers": 2}), port_is_asked_for=False)
    time.sleep(ready)  # the other one's start: a connection stays with the worker that accepted it
    yield f"throughput of two workers {_throughput(root, both, paths):.0f}/s"
    yield _lists(own, model)


def _lists(settings: Settings, model: Bundle) -> str:
    """The best 20 of many users, as ``python -m pipelines recommend`` makes them, and of all of 200,000 by that."""
    lists = user_lists.UserLists(user_lists.read(settings, model))
    users = model.user_ids[:: len(model.user_ids) // LISTED].tolist()
    list(lists.tables(users[:200], 20))
    started = time.perf_counter()
    rows = sum(len(table) for table in lists.tables(users, 20))
    took = time.perf_counter() - started
    assert rows == 20 * len(users)
    return f"the best 20 of {len(users):,} users {took:.1f} s: of 200,000 {took / len(users) * 200_000:.0f} s"


def _throughput(root: Path, address: str, paths: Sequence[str], body: str | None = None) -> float:
    """Answers a second over several connections, to POST where there is a ``body``; all of them must be 200."""
    if not shutil.which("wrk"):
        return _own_load(address, paths, body)
    script = root / "paths.lua"
    listed = ",".join(f'"{path}"' for path in paths)
    how = "wrk.format('GET', paths[n])"
    if body is not None:
        how = f"wrk.format('POST', paths[n], {{['Content-Type'] = 'application/json'}}, '{body}')"
    script.write_text(
        f"local paths = {{{listed}}}\nlocal n = 0\nrequest = function() n = n % #paths + 1; return {how} end\n",
        encoding="utf-8",
    )
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), address]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


def _own_load(address: str, paths: Sequence[str], body: str | None) -> float:
    counts = [0] * CONNECTIONS
    end = time.monotonic() + SECONDS

    def load(n: int) -> None:
        at = n
        while time.monotonic() < end:
            serving.get(address, [paths[at % len(paths)] for at in range(at, at + 20)], body)
            counts[n] += 20
            at += 20

    threads = [threading.Thread(target=load, args=(n,)) for n in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def _feast(settings: Settings, root: Path, item_ids: Sequence[str]) -> float:
    """Answers a second of ``feast serve`` that reads the candidates' features, under the same load."""
    feast = Path(sys.executable).parent / "feast"
    program = services.Program(
        name="feast-serve",
        argv=(str(feast), "serve", "--host", "127.0.0.1", "--port", str(FEAST_PORT), "--no-access-log"),
        env=settings.exported(),
        cwd=root / "feature_repo",
        ready=f"http://127.0.0.1:{FEAST_PORT}/health",
        start_timeout=120,
    )
    services.start(root, program)
    asked = {
        "features": ["item_activity_v1:views_7d", "item_activity_v1:purchases_30d", "item_profile_v1:price"],
        "entities": {"item_id": list(item_ids)},
    }
    address = f"http://127.0.0.1:{FEAST_PORT}"
    return _throughput(root, address, ["/get-online-features"], json.dumps(asked))


def _memory(root: Path, name: str) -> str:
    """Of the process: what is its own, and what it shares as mapped files."""
    (status,) = (one for one in services.running(root) if one.name == name)
    lines = Path(f"/proc/{status.pid}/status").read_text(encoding="utf-8").splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
    return f"{kib['RssAnon'] / 1024:.0f} MB, and {kib['RssFile'] / 1024:.0f} MB of mapped files, which workers share"
