"""Live events over HTTP: how many a second are acknowledged, and how soon session and features show them."""

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from operator import ne
from pathlib import Path

import numpy as np
import psycopg
import redis
from feast import FeatureStore
from feast.infra.online_stores.helpers import _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.stores import sessions
from pipelines.commands import programs
from pipelines.io import services
from pipelines.io.features import audit_stores, feast_store
from pipelines.io.live import live_owner
from pipelines.io.services.program import is_free
from pipelines.settings import Settings
from tests.conftest import CHECKOUT
from tests.feature_data import day, product, random_events
from tests.lake_data import built

USERS, ITEMS, BATCH = 5_000, 500, 1_000
BATCHES, SINGLES = 30, 300
DAYS = 40
VIEW = "user_activity_v1"
WRITTEN = [f"_ts:{view}" for view in (VIEW, "user_activity_v2", "user_recent_items_v1")]
"""Where Redis has the stamps of the views of a user: the first that are written and the last."""


def run(settings: Settings) -> Iterator[str]:
    """Yield the figures, of one client and one worker, on a shop of 5,000 users with 50,000 events up to midnight."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        own = settings.model_copy(update={"root": Path(folder)})
        log = random_events(1, 50_000, days=DAYS, users=USERS, items=ITEMS)
        until_now = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - day(DAYS)
        events = [event | {"timestamp": event["timestamp"] + until_now} for event in log]
        built(own, events, products=[product(f"i{n}", 0) for n in range(ITEMS)])
        try:
            yield from _measure(own, _serve(own))
        finally:
            services.stop_all(own.root)


def _serve(settings: Settings) -> str:
    """The service without a model, and what brings events online; both work when this returns."""
    port = next(p for p in range(18_000, 19_000) if is_free(p))
    options = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log")
    argv = (sys.executable, "-m", "uvicorn", "serving.app:create_app", "--factory", *options)
    env = settings.exported() | {"PYTHONPATH": str(CHECKOUT), "RECOMART_RATE_LIMIT": "0"}
    services.start(settings.root, services.Program("api", argv, f"http://127.0.0.1:{port}/health", env))
    services.start(settings.root, programs.pusher(settings))
    _until(lambda: live_owner.is_there(settings), 0.1)
    client, sent = http.client.HTTPConnection("127.0.0.1", port, timeout=30), count()
    with redis.Redis.from_url(settings.redis) as online:
        _until(lambda: _timed(client, [_event(f"first-{next(sent)}", 0)]) > 0 and _session(online, 0) > 0, 0.1)
        _until(lambda: not _unpushed(settings), 0.1)
    return f"127.0.0.1:{port}"


def _measure(settings: Settings, address: str) -> Iterator[str]:
    client = http.client.HTTPConnection(address, timeout=30)
    rng = np.random.default_rng(2)
    batches = [
        [_event(f"b{n}-{k}", int(user)) for k, user in enumerate(rng.integers(0, USERS, BATCH))] for n in range(BATCHES)
    ]
    took = [_timed(client, batch) for batch in batches]
    yield (
        f"{BATCH * BATCHES / sum(took):,.0f} events/s acknowledged in batches of {BATCH:,}; a batch takes {_ms(took)}"
    )
    began = time.perf_counter()
    _until(lambda: not _unpushed(settings), 0.05)
    behind = time.perf_counter() - began
    yield f"{BATCH * BATCHES / (sum(took) + behind):,.0f} events/s through to the features, {behind:.1f} s behind"
    store, in_session, in_features, alone = feast_store.open_store(settings), [], [], []
    client = http.client.HTTPConnection(address, timeout=30)  # the service has closed the idle one
    with redis.Redis.from_url(settings.redis) as online:
        for n, user in enumerate(rng.permutation(USERS)[:SINGLES].tolist()):
            events, carts = _session(online, user), _carts(store, user)
            stamps = _stamps(online, user)
            alone.append(_timed(client, [_event(f"s{n}", user)]))
            acknowledged = time.perf_counter()
            _until(lambda user=user, events=events: _session(online, user) > events)  # type: ignore[misc]
            in_session.append(time.perf_counter() - acknowledged)
            # Feast's own reading takes a processor, which the one that writes would lack
            _until(lambda user=user, stamps=stamps: all(map(ne, stamps, _stamps(online, user))))  # type: ignore[misc]
            in_features.append(time.perf_counter() - acknowledged)
            assert _carts(store, user) > carts
    yield f"one event is acknowledged within {_ms(alone)}"
    yield f"from there to the session {_ms(in_session)}, to Feast's online view {_ms(in_features)}"


def _event(event_id: str, user: int) -> dict[str, str]:
    return {"event_id": event_id, "user_id": f"u{user}", "item_id": f"i{user % ITEMS}", "event_type": "add_to_cart"}


def _timed(client: http.client.HTTPConnection, events: list[dict[str, str]]) -> float:
    """Send events; seconds until they are acknowledged."""
    body = json.dumps(events).encode()
    began = time.perf_counter()
    client.request("POST", "/events", body, {"content-type": "application/json"})
    response = client.getresponse()
    answer = response.read()
    assert response.status == 202, answer
    return time.perf_counter() - began


def _session(online: redis.Redis, user: int) -> int:
    return int(online.zcard(sessions.key("recomart", f"u{user}")))  # type: ignore[arg-type]


def _stamps(online: redis.Redis, user: int) -> list[bytes | None]:
    """The stamps of the user's live views, as Redis has them."""
    key = _redis_key("recomart", EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=f"u{user}")]), 3)
    return online.hmget(key, WRITTEN)  # type: ignore[return-value]


def _carts(store: FeatureStore, user: int) -> int:
    ((_, row),) = audit_stores.online(store, VIEW, [(f"u{user}",)])
    return row["carts_all"] if row else 0


def _unpushed(settings: Settings) -> bool:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        return connection.execute("SELECT 1 FROM live.events WHERE NOT pushed LIMIT 1").fetchone() is not None


def _until(happens: Callable[[], bool], pause: float = 0.0005) -> None:
    end = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(pause)


def _ms(seconds: list[float]) -> str:
    return f"p50 {1000 * np.percentile(seconds, 50):.1f} ms, p99 {1000 * np.percentile(seconds, 99):.1f} ms"
