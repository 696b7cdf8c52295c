"""The online store on a Redis Cluster and behind TLS: the same writes, reads and deletions."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import redis
import yaml
from feast import FeatureStore
from feast.data_source import PushMode
from feast.types import Array, Int64, String
from redis.crc import key_slot

from feature_repo.stores.redis_read import Read
from feature_repo.stores.redis_wire import redis_keys
from pipelines.core.lists.live_event import LiveEvent, Stored
from pipelines.io.live.live_sessions import LiveSessions
from pipelines.settings import Settings
from tests import redis_cluster, tls_door
from tests.conftest import CHECKOUT
from tests.online_data import TIMES, US, online, row, user, view_of, write

pytestmark = pytest.mark.services

N = 2_000


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    with redis_cluster.running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def clustered(nodes: list[Any], store_of: Callable[..., FeatureStore]) -> Callable[..., FeatureStore]:
    for node in nodes:
        node.flushall()
    address = where(nodes)
    return lambda *views, **more: store_of(*views, redis_type="redis_cluster", connection_string=address, **more)


def where(nodes: list[Any]) -> str:
    """Feast's connection string."""
    kinds = [node.connection_pool.connection_kwargs for node in nodes]
    return ",".join(f"{kind['host']}:{kind['port']}" for kind in kinds)


def view() -> Any:
    return view_of([user], push=True, n=Int64, recent=Array(String))


def rows_of(n: int, first: int = 0) -> pa.Table:
    names = [f"u{k}" for k in range(n)]
    return pa.table({
        "user_id": names, "event_timestamp": pa.array([TIMES[0]] * n, US), "n": list(range(first, first + n)),
        "recent": [[name, "x"] for name in names],
    })  # fmt: skip


def n_of(store: FeatureStore, users: list[str]) -> list[float]:
    (got,) = online(store).read_columns(store.config, [Read(store.get_feature_view("v"), {"user_id": users}, ["n"])])
    return got.values["n"].tolist()


def holds_writes_reads_and_deletions(store: FeatureStore) -> None:
    users = [f"u{k}" for k in range(N)]
    write(store, rows_of(N))
    assert n_of(store, [*users, "nobody"])[:-1] == list(range(N))
    store.push(
        "v_push", row("u1", -1, TIMES[1]).append_column("recent", pa.array([["y"]])).to_pandas(), to=PushMode.ONLINE
    )
    write(store, rows_of(N, first=5))  # older than the push
    assert n_of(store, users) == [5, -1, *range(7, N + 5)]
    got = store.get_online_features(["v:n", "v:recent"], [{"user_id": u} for u in ("u0", "u1", "nobody")]).to_dict()
    assert (got["n"], got["recent"]) == ([5, -1, None], [["u0", "x"], ["y"], None])
    kept = pa.table({"user_id": users[:100]})
    assert online(store).retain(store.config, store.get_feature_view("v"), kept) == N - 100
    assert np.isnan(n_of(store, users)).sum() == N - 100


def test_cluster_holds_writes_reads_and_deletions(nodes: list[Any], clustered: Callable[..., FeatureStore]) -> None:
    store = clustered(view())
    write(store, rows_of(N))
    assert min(node.dbsize() for node in nodes) > N / 4  # spread
    holds_writes_reads_and_deletions(store)


def test_feast_reads_from_a_cluster_what_we_write_and_we_what_it_writes(clustered: Callable[..., FeatureStore]) -> None:
    ours, stock = clustered(view()), clustered(view(), kind="redis")
    write(ours, rows_of(20))
    asked = [{"user_id": f"u{k}"} for k in range(20)]
    assert stock.get_online_features(["v:n"], asked).to_dict()["n"] == list(range(20))
    stock.write_to_online_store("v", rows_of(30, first=9).slice(20).to_pandas())
    assert n_of(ours, [f"u{k}" for k in range(20, 30)]) == list(range(29, 39))


def test_cluster_slots_that_move_are_followed_by_writes_reads_and_deletions(
    nodes: list[Any], clustered: Callable[..., FeatureStore]
) -> None:
    store, users = clustered(view()), ["u0", "u1"]
    keys = redis_keys(store.config, store.get_feature_view("v"), {"user_id": pa.array(users)})
    moving, moved = (key_slot(key) for key in keys.to_pylist())
    n_of(store, users)  # knows where the slots are
    redis_cluster.begin_to_move(moving, nodes)
    redis_cluster.move(moved, nodes)
    write(store, rows_of(2))
    assert n_of(store, users) == [0, 1]
    redis_cluster.move(moving, nodes)  # the old server never held its key
    assert n_of(store, users) == [0, 1]
    assert online(store).retain(store.config, store.get_feature_view("v"), pa.table({"user_id": ["u0"]})) == 1


def of_user(store: FeatureStore, user_id: str) -> tuple[float, list[str]]:
    """The user's feature and the items of the session, newest first, as a request reads them."""
    reader = online(store).user_reader(store.config, [(store.get_feature_view("v"), ["n"])])
    row = online(store).read_user(store.config, reader, user_id)
    return row.numbers["v__n"], row.session.item_ids


def test_cluster_keeps_sessions_beside_the_features(nodes: list[Any], clustered: Callable[..., FeatureStore]) -> None:
    store = clustered(view())
    write(store, rows_of(20))
    events = {f"u{k}": [(k, 2_000_000, "view", "a", 1, 9.5), (99, 5_000_000, "click", "b", 1, 9.5)] for k in range(20)}
    online(store).write_sessions(store.config, events)
    held = [len(node.keys("live:*")) for node in nodes]
    assert (sum(held), min(held) > 0) == (20, True)  # spread
    assert [of_user(store, f"u{k}") for k in range(20)] == [(k, ["b", "a"]) for k in range(20)]
    assert online(store).forget(store.config, "u3", [(view(), {"user_id": pa.array(["u3"])})]) == 2
    assert np.isnan(of_user(store, "u3")[0]) and of_user(store, "u3")[1] == []
    online(store).drop_sessions(store.config)
    assert [of_user(store, f"u{k}") for k in range(3)] == [(k, []) for k in range(3)]


def test_cluster_takes_live_events(
    nodes: list[Any], redis_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in nodes:
        node.flushall()
    configuration = yaml.safe_load((CHECKOUT / "feature_repo/feature_store.yaml").read_text(encoding="utf-8"))
    configuration["online_store"] |= {"redis_type": "redis_cluster", "connection_string": where(nodes)}
    (tmp_path / "feature_repo").mkdir()
    (tmp_path / "feature_repo/feature_store.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    for name in redis_settings.exported():  # put back at the end
        monkeypatch.setenv(name, "")
    live = LiveSessions(redis_settings.model_copy(update={"root": tmp_path}))
    live.write(Stored(seq, LiveEvent(f"e{seq}", f"u{seq}", "i", "view", TIMES[0])) for seq in range(20))
    assert sum(len(node.keys("live:*")) for node in nodes) == 20
    live.remember("base 7")
    assert live.remembered() == "base 7"
    assert live.server() == ",".join(sorted(node.info("server")["run_id"] for node in nodes))
    live.drop()
    assert sum(len(node.keys("live:*")) for node in nodes) == 0


@pytest.fixture
def door(redis_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Feast's connection string of the same Redis behind TLS, without and with the certificate to trust."""
    address, *parameters = redis_settings.exported()["FEAST_REDIS"].split(",")
    host, port = address.rsplit(":", 1)
    with tls_door.opened(tmp_path_factory.mktemp("tls"), host, int(port)) as (opened, certificate):
        plain = ",".join([f"{tls_door.HOST}:{opened}", *parameters, "ssl=true"])
        yield plain, f"{plain},ssl_ca_certs={certificate}"


def test_tls_holds_writes_reads_and_deletions(door: tuple[str, str], store_of: Callable[..., FeatureStore]) -> None:
    holds_writes_reads_and_deletions(store_of(view(), connection_string=door[1]))


def test_tls_refuses_a_server_that_nobody_vouches_for(
    door: tuple[str, str], store_of: Callable[..., FeatureStore]
) -> None:
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        write(store_of(view(), connection_string=door[0]), rows_of(1))
