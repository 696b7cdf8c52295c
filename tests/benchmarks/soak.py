"""Minutes of mixed load on the service: Redis is killed twice, the model is swapped, and everything is counted.

Recommendations must never fail, and every event that was acknowledged must be in Postgres and, in the end, in its
user's session. Memory must stay where it is after the first fifth.
"""

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import redis

from feature_repo.stores import sessions
from pipelines.commands import programs
from pipelines.io import postgres, services
from pipelines.io.models import bundles, registry
from pipelines.settings import Settings
from tests.benchmarks import large_shop
from tests.conftest import CHECKOUT

CLIENTS = 4
EVENTS_EVERY = 10
"""Requests of a client."""
BATCH = 20
RECOVERY = 60.0
"""Seconds after the load until sessions must hold everything."""


@dataclass
class Seen:
    """What the clients saw."""

    recommend: Counter[int] = field(default_factory=Counter)
    degraded: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    events: Counter[int] = field(default_factory=Counter)
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    """(event id, user)."""
    took: list[float] = field(default_factory=list)


def run(settings: Settings, minutes: float = 10.0, items: int = 20_000) -> Iterator[str]:
    """Yield what happened to answers, events and memory."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        try:
            yield from _measure(settings, Path(folder), minutes, items)
        finally:
            services.stop_all(Path(folder))


def _measure(settings: Settings, root: Path, minutes: float, items: int) -> Iterator[str]:
    os.environ.update(settings.exported() | {"PYTHONPATH": str(CHECKOUT), "RECOMART_RATE_LIMIT": "0"})
    own = settings.model_copy(
        update={"root": root, "mlflow_tracking_uri": f"sqlite:///{root}/mlflow.db", "rate_limit": 0}
    )
    model = large_shop.build(own, items)
    address = programs.serve(own, port_is_asked_for=False)
    seconds = 60 * minutes
    end, ids = time.monotonic() + seconds, (model.user_ids.tolist(), model.item_ids.tolist())
    seen = [Seen() for _ in range(CLIENTS)]
    clients = [threading.Thread(target=_load, args=(address, end, *ids, n, seen[n])) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    memory = []
    disturbances = [
        (0.25, lambda: _kill_redis(settings)),
        (0.5, lambda: _kill_redis(settings)),
        (0.7, lambda: _promote_another(own, root)),
    ]
    while (left := end - time.monotonic()) > 0:
        if disturbances and 1 - left / seconds >= disturbances[0][0]:
            disturbances.pop(0)[1]()
        memory.append(_resident(root))
        time.sleep(1.0)
    for client in clients:
        client.join()
    yield from _told(own, seen, memory, minutes)


def _load(address: str, end: float, users: Sequence[str], items: Sequence[str], n: int, seen: Seen) -> None:
    rng = np.random.default_rng(n)
    with httpx.Client(base_url=address, timeout=30) as client:
        at = 0
        while time.monotonic() < end:
            at += 1
            if at % EVENTS_EVERY == 0:
                batch = [_event(f"{n}-{at}-{i}", rng, users, items) for i in range(BATCH)]
                status = client.post("/events", json=batch).status_code
                seen.events[status] += 1
                if status == 202:
                    seen.acknowledged += [(event["event_id"], event["user_id"]) for event in batch]
                continue
            started = time.perf_counter()
            answer = client.get("/recommend", params={"user_id": users[rng.integers(len(users))], "k": 10})
            seen.took.append(1000 * (time.perf_counter() - started))
            seen.recommend[answer.status_code] += 1
            if answer.status_code == 200:
                said = answer.json()
                seen.degraded += said["degraded"]
                seen.versions[said["model_version"]] += 1


def _event(event_id: str, rng: np.random.Generator, users: Sequence[str], items: Sequence[str]) -> dict[str, str]:
    return {
        "event_id": event_id,
        "user_id": users[rng.integers(len(users))],
        "item_id": items[rng.integers(len(items))],
        "event_type": "view",
    }


def _kill_redis(settings: Settings) -> None:
    """SIGKILL; its supervisor starts it again."""
    (pid,) = (one.pid for one in services.running(settings.root) if one.name == "redis")
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def _promote_another(settings: Settings, root: Path) -> None:
    model = bundles.load(root / "data/models/final")
    candidates = {**model.manifest["params"]["candidates"], "per_source": large_shop.PER_SOURCE - 1}
    params = {**model.manifest["params"], "candidates": candidates}
    folder = root / "data/models/other"
    bundles.save(replace(model, manifest={**model.manifest, "params": params}), folder)
    uri = settings.mlflow_tracking_uri
    version = registry.register(uri, folder, description="another", metrics={}, params={}, tags={})
    registry.name_alias(uri, version.number, registry.CHAMPION)


def _resident(root: Path) -> float:
    """The service's own memory, MB."""
    (pid,) = (one.pid for one in services.running(root) if one.name == "api")
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def _told(settings: Settings, seen: Sequence[Seen], memory: Sequence[float], minutes: float) -> Iterator[str]:
    total = Seen()
    for one in seen:
        total.recommend += one.recommend
        total.events += one.events
        total.versions += one.versions
        total.degraded += one.degraded
        total.acknowledged += one.acknowledged
        total.took += one.took
    p50, p99 = np.percentile(total.took, [50, 99])
    yield f"{minutes:g} minutes, {CLIENTS} clients, Redis killed twice, model swapped once"
    yield f"/recommend: {dict(total.recommend)}, {total.degraded} degraded, versions {dict(total.versions)}"
    yield f"/recommend under load: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    yield f"/events: {dict(total.events)}; {len(total.acknowledged):,} events acknowledged"
    ids = [event for event, _ in total.acknowledged]
    with postgres.connect(settings) as connection:
        (held,) = connection.execute("SELECT count(*) FROM live.events WHERE event_id = ANY(%s)", [ids]).fetchone() or (
            0,
        )
    yield f"acknowledged events that Postgres doesn't hold: {len(ids) - held}"
    yield f"acknowledged events that sessions don't hold: {_not_in_sessions(settings, total.acknowledged)}"
    tenths = [f"{part.mean():.0f}" for part in np.array_split(np.array(memory), 10)]
    yield f"own memory by tenths of the time, MB: {' '.join(tenths)}"


def _not_in_sessions(settings: Settings, acknowledged: Sequence[tuple[str, str]]) -> int:
    """How many events are missing, once no more come in; a session of more than it can hold isn't counted."""
    users = Counter(user for _, user in acknowledged)
    project = "recomart"
    end, missing = time.monotonic() + RECOVERY, len(acknowledged)
    with redis.Redis.from_url(settings.redis) as client:
        while missing and time.monotonic() < end:
            held = [min(client.zcard(sessions.key(project, user)), n) for user, n in users.items()]
            missing = sum(min(n, sessions.MOST) for n in users.values()) - sum(held)
            time.sleep(1.0)
    return missing
