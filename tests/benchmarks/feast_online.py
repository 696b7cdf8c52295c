"""Materialization and bulk reads against stock Feast on the same Postgres and Redis, with equal values."""

import gc
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import hiredis
import numpy as np
import pandas as pd
from feast import FeatureStore, RepoConfig
from feast.infra.online_stores.helpers import _mmh3
from feast.protos.feast.types.Value_pb2 import Value
from redis import Connection, UnixDomainSocketConnection

from feature_repo.stores.redis_read import Read
from pipelines.settings import Settings
from tests.benchmarks.feast_stores import END, FEATURES, OURS, STOCK, store, table, timed

BEGINNING = END - timedelta(days=400)
REFS = [f"bench:{name}" for name in FEATURES]
ROUNDS = 300


def run(settings: Settings) -> Iterator[str]:
    """Yield a line for each measurement."""
    with tempfile.TemporaryDirectory() as folder:
        ours, stock = (store(settings, Path(folder), kind) for kind in (OURS, STOCK))
        table(settings, 100_000, 100_000)
        yield _materialize("materialize 100,000 users × 10 features", ours, stock)
        yield from _reads("read 500 users × 10 features", ours, stock)
        table(settings, 1_000_000, 1_000_000)
        yield _memory("materialize 1,000,000 users × 10 features", ours)


def _materialize(label: str, ours: FeatureStore, stock: FeatureStore) -> str:
    _, a_s = timed(lambda: ours.materialize(BEGINNING, END))
    users = [{"user_id": f"U{n}"} for n in range(0, 100_000, 997)]
    a = ours.get_online_features(REFS, users).to_df()
    _, b_s = timed(lambda: stock.materialize(BEGINNING, END))
    pd.testing.assert_frame_equal(a, stock.get_online_features(REFS, users).to_df()[a.columns])
    return f"{label}: {a_s:.1f} s, stock {b_s:.1f} s, {b_s / a_s:.1f}× (equal values)"


def _reads(label: str, ours: FeatureStore, stock: FeatureStore) -> Iterator[str]:
    """Our bulk read, our and stock ``get_online_features``, and hiredis by hand, in turns on the same users."""
    online, view = ours._get_provider().online_store, ours.get_feature_view("bench")
    users = [f"U{n}" for n in np.random.default_rng(1).permutation(100_000)[:500]]
    rows = [{"user_id": user} for user in users]
    connection = online._get_client(ours.config.online_store).connection_pool.make_connection()
    connection.connect()
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "bulk read": lambda: online.read_columns(ours.config, [Read(view, {"user_id": users}, FEATURES)])[0].values,
        "hiredis by hand": lambda: _by_hand(connection, users),
        "get_online_features": lambda: ours.get_online_features(REFS, rows).to_dict(),
        "stock": lambda: stock.get_online_features(REFS, rows).to_dict(),
    }
    found = [way() for way in ways.values()]
    for name in FEATURES:
        assert all(np.array_equal(np.asarray(found[0][name], float), np.asarray(f[name], float)) for f in found)
    took: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    gc.freeze()  # or its pauses are the stock store's p99
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            took[name].append(1000 * (time.perf_counter() - started))
    gc.unfreeze()
    (p50, p99), slow = np.percentile(list(took.values()), (50, 99), axis=1), list(took).index("stock")
    yield f"{label}: stock get_online_features {p50[slow]:.1f} / {p99[slow]:.1f} ms (p50 / p99; equal values)"
    for k, text in enumerate(list(ways)[:-1]):
        faster = f"{p50[slow] / p50[k]:.1f}× / {p99[slow] / p99[k]:.1f}×"
        yield f"{label}, {text}: {p50[k]:.1f} / {p99[k]:.1f} ms, {faster}"
    yield f"{label}, bulk read to hiredis by hand: {p50[0] / p50[1]:.2f} / {p99[0] / p99[1]:.2f} of its time"


def _by_hand(connection: Connection | UnixDomainSocketConnection, users: list[str]) -> dict[str, list[int]]:
    """The same read for this one view, written straight: HMGETs in one buffer, hiredis, one message a value."""
    fields = [_mmh3(f"bench:{name}") for name in FEATURES] + [b"_ts:bench"]
    tail = b"".join(b"$%d\r\n%b\r\n" % (len(field), field) for field in fields)
    head = struct.pack("<III", 1, 2, 7) + b"user_id"
    sent = []
    for user in users:
        key = head + struct.pack("<II", 2, len(user)) + user.encode() + b"ours"
        sent.append(b"*13\r\n$5\r\nHMGET\r\n$%d\r\n%b\r\n%b" % (len(key), key, tail))
    stream, reader = connection._get_socket(), hiredis.Reader()
    assert stream is not None
    stream.sendall(b"".join(sent))
    replies: list[list[bytes]] = []
    while len(replies) < len(users):
        reader.feed(stream.recv(1 << 18))
        while (reply := reader.gets()) is not False:
            replies.append(reply)
    return {
        name: [Value.FromString(reply[place]).int64_val for reply in replies] for place, name in enumerate(FEATURES)
    }


def _memory(label: str, ours: FeatureStore) -> str:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        (before, after), seconds = timed(alone.submit(_materialize_alone, ours.config).result)
    users = [{"user_id": f"U{n}"} for n in (1, 999_999)]
    assert ours.get_online_features(REFS, users).to_dict()["f0"] == [7, 999_999 * 7 % 1000]
    return (
        f"{label}, in a process of its own: {seconds:.0f} s, {after:.0f} MB at most ({before:.0f} MB after the imports)"
    )


def _materialize_alone(config: RepoConfig) -> tuple[float, float]:
    """The largest resident memory of this process before and after it materialized, MB."""
    feast = FeatureStore(config=config)
    feast._get_provider()
    before = _peak()
    timed(lambda: feast.materialize(BEGINNING, END))
    return before, _peak()


def _peak() -> float:
    """MB; what getrusage says would include the parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
