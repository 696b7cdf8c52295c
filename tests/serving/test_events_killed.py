"""Whatever is killed at whatever moment: what was acknowledged is in Postgres, and gets online. Real processes."""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from feature_repo.stores import sessions
from pipelines.commands import programs
from pipelines.io import services
from pipelines.io.features import audit_stores, feast_store
from pipelines.io.services import placement
from pipelines.io.services.program import is_free
from pipelines.settings import Settings
from tests.conftest import CHECKOUT, SERVERS, pipelines
from tests.feature_data import event, product
from tests.lake_data import built
from tests.serving.shop import eventually

pytestmark = pytest.mark.slow

EVENTS = 50
"""Of a user, one after the other; then it is quiet, and nothing but recovery brings it back."""
KILLS = ("api", "redis", "postgres", "pusher", "redis without memory", "api", "postgres", "redis")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Servers of the test's own, with a published shop; at the end all is gone."""
    for name in SERVERS:
        monkeypatch.delenv(name, raising=False)
    root = Path(tempfile.mkdtemp(prefix="recomart-"))
    root.chmod(0o755)  # Postgres runs as another user where we are root
    try:
        pipelines(root, "up")
        own = Settings.load(root, {})
        built(own, [event("somebody", "i1", "view", 1.5)], products=[product("i1", 0)])
        yield own
    finally:
        services.stop_all(root)
        shutil.rmtree(placement.outside(root), ignore_errors=True)
        shutil.rmtree(root)


def serve(settings: Settings) -> str:
    """The service without a model, and beside it what brings events online; returns the address."""
    port = next(p for p in range(18_000, 19_000) if is_free(p))
    options = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log")
    env = settings.exported() | {"PYTHONPATH": str(CHECKOUT)}
    argv = (sys.executable, "-m", "uvicorn", "serving.app:create_app", "--factory", *options)
    address = f"http://127.0.0.1:{port}"
    services.start(settings.root, services.Program("api", argv, f"{address}/health", env))
    services.start(settings.root, programs.pusher(settings))
    return address


class Sender(threading.Thread):
    """Sends batches of events one after the other, each until it is acknowledged."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__()
        self.address, self.prefix = address, name
        self.acknowledged: list[dict[str, Any]] = []
        self.refused = 0
        self.done = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.done.is_set():
            size = random.randint(1, 40)
            batch = [self.event(number + n) for n in range(size)]
            while not self.post(batch):
                self.refused += 1
                time.sleep(0.05)
            self.acknowledged += batch
            number += size
            time.sleep(0.02)

    def event(self, number: int) -> dict[str, Any]:
        return {
            "event_id": f"{self.prefix}-{number}",
            "user_id": f"{self.prefix}{number // EVENTS}",
            "item_id": "i1",
            "event_type": "add_to_cart",
        }

    def post(self, batch: list[dict[str, Any]]) -> bool:
        body = json.dumps(batch).encode()
        request = urllib.request.Request(f"{self.address}/events", body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=15) as response:
                return bool(response.status == 202)
        except urllib.error.HTTPError as error:
            assert error.code == 503, error.read()
        except OSError:  # the service is gone
            pass
        return False


def kill(root: Path, what: str) -> None:
    name = what.split()[0]
    eventually(lambda: any(s.name == name and s.pid for s in services.running(root)))
    (status,) = (s for s in services.running(root) if s.name == name)
    assert status.pid
    if "without memory" in what:
        for path in (root / "data/services/redis").glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.kill(status.pid, signal.SIGKILL)
    eventually(lambda: any(s.name == name and s.pid and s.restarts > status.restarts for s in services.running(root)))


def stored(settings: Settings) -> dict[str, str]:
    """Event id → user, of all that is in Postgres."""
    with psycopg.connect(settings.postgres_conninfo) as connection:
        return dict(connection.execute("SELECT event_id, user_id FROM live.events").fetchall())


def pushed(settings: Settings) -> int:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        (count,) = connection.execute("SELECT count(*) FROM live.events WHERE pushed").fetchone() or (0,)
    return int(count)


def answers(settings: Settings) -> bool:
    """Whether Redis has loaded what it kept."""
    with redis.Redis.from_url(settings.redis) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def in_sessions(settings: Settings, users: Iterable[str]) -> dict[str, int]:
    """User → events in the session."""
    with redis.Redis.from_url(settings.redis) as client:
        return {user: client.zcard(sessions.key("recomart", user)) for user in users}


def in_features(settings: Settings, view: str, users: Iterable[str]) -> dict[str, int]:
    """User → events that Feast's online view counts."""
    store = feast_store.open_store(settings)
    rows = audit_stores.online(store, view, [(user,) for user in users])
    return {user: row["carts_all"] if row else 0 for (user,), row in rows}


def test_nothing_that_was_acknowledged_is_lost(settings: Settings) -> None:
    address = serve(settings)
    random.seed(3)
    senders = [Sender(address, name) for name in ("a", "b")]
    for sender in senders:
        sender.start()
    after: dict[str, int] = defaultdict(int)
    try:
        eventually(lambda: all(sender.acknowledged for sender in senders))
        for what in KILLS:
            if "without memory" in what:  # of what was pushed
                had = pushed(settings)
                eventually(lambda had=had: pushed(settings) > had + 100)  # type: ignore[misc]
            time.sleep(random.uniform(0.2, 1.5))
            kill(settings.root, what)
            before = len(senders[0].acknowledged)
            eventually(lambda before=before: len(senders[0].acknowledged) > before)  # type: ignore[misc]
            after[what] += len(senders[0].acknowledged) - before
    finally:
        for sender in senders:
            sender.done.set()
        for sender in senders:
            sender.join()
    acknowledged = {one["event_id"]: one["user_id"] for sender in senders for one in sender.acknowledged}
    assert len(acknowledged) > 500
    assert sum(sender.refused for sender in senders) > 0  # the kills were felt
    assert set(after) == set(KILLS)
    held = stored(settings)
    assert acknowledged.items() <= held.items()
    each = Counter(held.values())
    eventually(lambda: answers(settings))
    eventually(lambda: in_sessions(settings, each) == each, 60)
    for view in ("user_activity_v1", "user_activity_v2"):
        eventually(lambda view=view: in_features(settings, view, each) == each, 60)  # type: ignore[misc]
