"""Which models the service holds, and that a swap is never seen half done."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pipelines.core.errors import ServiceError
from pipelines.core.models.bundle import Bundle
from pipelines.io.models import bundles, registry
from pipelines.io.models.fetched_models import FetchedModels
from pipelines.settings import Settings
from serving.app import create_app
from serving.keeper import Keeper
from tests.serving.shop import CUT, SIZE, Memory, Shelf, eventually


def keeper(memory: Memory, *wanted: str, warm_up: Callable[[object], object] = lambda _: None) -> Keeper:
    return Keeper(lambda: memory, warm_up, 60.0, lambda: wanted)


def versions(held: Keeper) -> dict[str, int]:
    return {name: snapshot.version for name, snapshot in held.held.items()}


@pytest.fixture
def other(model: Bundle) -> Bundle:
    """The same model of other items: P100, P101, …"""
    return replace(model, item_ids=np.array([f"P10{n}" for n in range(SIZE)]))


def test_keeper_holds_the_champion_and_every_wanted_name(memory: Memory, model: Bundle) -> None:
    memory.bundles |= {2: model, 3: model}
    memory.others = {"challenger": 2}
    kept = keeper(memory, "champion", "challenger", "3")
    kept.refresh()
    assert versions(kept) == {"champion": 1, "challenger": 2, "3": 3}
    assert kept.snapshot is kept.snapshot_of("1") is kept.snapshot_of("champion")
    assert kept.snapshot_of("challenger") is kept.snapshot_of("2")
    assert (kept.errors, kept.model_error, memory.in_use) == ({}, None, {1, 2, 3})


def test_keeper_opens_a_version_once_for_all_its_names(memory: Memory) -> None:
    memory.others = {"challenger": 1}
    kept = keeper(memory, "challenger", "1")
    kept.refresh()
    assert len({id(snapshot) for snapshot in kept.held.values()}) == 1


def test_keeper_says_which_wanted_name_names_nothing(memory: Memory, model: Bundle) -> None:
    memory.others, memory.bundles[2] = {"challenger": 2}, model
    kept = keeper(memory, "challenger")
    kept.refresh()
    memory.others = {}
    kept.refresh()
    assert versions(kept) == {"champion": 1}
    assert kept.errors == {"challenger": "no model version goes by 'challenger'"}
    assert kept.model_error is None


def test_keeper_goes_on_with_the_version_before_where_the_new_one_cannot_be_opened(
    memory: Memory, model: Bundle
) -> None:
    class Torn(Memory):
        def bundle(self, version: int) -> Bundle:
            if version == 9:
                raise ServiceError("version 9: MLflow doesn't answer")
            return super().bundle(version)

    torn = Torn({1: model, 2: model}, others={"challenger": 2})
    kept = keeper(torn, "challenger")
    kept.refresh()
    torn.version, torn.others = 9, {"challenger": 9}
    kept.refresh()
    assert versions(kept) == {"champion": 1, "challenger": 2}
    assert kept.model_error == kept.errors["challenger"] == "version 9: MLflow doesn't answer"


def test_keeper_keeps_all_its_models_while_the_registry_is_down(memory: Memory, model: Bundle) -> None:
    memory.bundles[2], memory.others = model, {"challenger": 2}
    kept = keeper(memory, "challenger")
    kept.refresh()
    memory.down, memory.version, memory.others = True, None, {}
    kept.refresh()
    assert versions(kept) == {"champion": 1, "challenger": 2}
    assert "it is gone" in str(kept.model_error)


def test_keeper_swaps_to_a_model_only_once_its_features_can_be_read(memory: Memory, model: Bundle) -> None:
    kept = keeper(memory)
    kept.refresh()
    memory.bundles[2], memory.version, memory.shelf.down = replace(model), 2, True
    kept.refresh()
    assert versions(kept) == {"champion": 1}
    assert "connection refused" in str(kept.features_error)
    memory.shelf.down = False
    kept.refresh()
    assert versions(kept) == {"champion": 2}
    assert (kept.features_error, kept.model_error) == (None, None)


def test_keeper_lets_go_of_a_version_that_nothing_names(memory: Memory, model: Bundle) -> None:
    kept = keeper(memory)
    memory.bundles = {1: replace(model), 2: model}
    kept.refresh()
    before = weakref.ref(memory.bundles[1])
    memory.version, memory.bundles = 2, {2: model}
    kept.refresh()
    assert (memory.in_use, before()) == ({2}, None)


def test_keeper_reads_item_features_again_when_they_were_materialized_and_at_times(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    items = Shelf.items
    monkeypatch.setattr(Shelf, "items", lambda shelf, ids: reads.append("read") or items(shelf, ids))
    kept = keeper(memory)
    for _ in range(5):
        kept.refresh()
    assert len(reads) == 1
    memory.shelf.as_of = CUT + timedelta(days=1)
    kept.refresh()  # the sixth look would read anyway
    kept.refresh()
    assert len(reads) == 2
    memory.shelf.as_of = CUT + timedelta(days=2)
    kept.refresh()
    assert len(reads) == 3


def test_keeper_opens_an_older_version_for_whoever_asks(memory: Memory, other: Bundle) -> None:
    kept = keeper(memory)
    with pytest.raises(ServiceError, match="still loading"):
        kept.bundle_of(2)
    memory.bundles[2] = other
    kept.refresh()
    assert kept.bundle_of(1) is memory.bundles[1]
    assert kept.bundle_of(2) is other
    assert versions(kept) == {"champion": 1}


def test_no_answer_fails_or_mixes_versions_while_models_are_swapped(
    client: TestClient, memory: Memory, other: Bundle
) -> None:
    """Items, titles and the version that an answer names go together, whatever happens meanwhile."""
    items = {str(version): set(bundle.item_ids.tolist()) for version, bundle in ((1, memory.bundles[1]), (2, other))}
    memory.shelf.prices |= dict.fromkeys(items["2"], 1.0)
    memory.bundles[2] = other
    stop = threading.Event()

    def hammer(n: int) -> set[str]:
        seen = set()
        while not stop.is_set():
            response = client.get("/recommend", params={"user_id": f"U{n}", "k": 5})
            assert response.status_code == 200
            answer = response.json()
            seen.add(answer["model_version"])
            assert answer["items"]
            for item in answer["items"]:
                assert item["item_id"] in items[answer["model_version"]]
                assert item["title"] == f"Product {item['item_id']}"
        return seen

    with ThreadPoolExecutor(4) as threads:
        hammering = [threads.submit(hammer, n) for n in range(4)]
        try:
            for version in (2, 1, 2, 1, 2, 1):
                memory.version = version
                wanted = str(version)
                asked = {"user_id": "U4", "k": 1}
                eventually(lambda w=wanted, a=asked: client.get("/recommend", params=a).json()["model_version"] == w)
        finally:
            stop.set()
        assert [future.result() for future in hammering] == [{"1", "2"}] * 4


class Registered(Memory):
    """Models in a real MLflow, features in memory."""

    def __init__(self, settings: Settings) -> None:
        super().__init__({})
        self.shelf.prices |= {f"P10{n}": 1.0 for n in range(SIZE)}
        self.uri, self.models = settings.mlflow_tracking_uri, FetchedModels.of(settings)

    def aliases(self) -> dict[str, int]:
        return registry.aliases(self.uri)

    def bundle(self, version: int) -> Bundle:
        return self.models.open(version)

    def release(self, in_use: set[int]) -> None:
        self.models.prune(in_use)


@pytest.fixture
def workers(tmp_path: Path, model: Bundle, other: Bundle) -> Iterator[tuple[str, list[TestClient]]]:
    """A registry with two versions, the first of them champion, and two workers of the service on it."""
    settings = Settings.load(tmp_path, {})
    for bundle in (model, other):
        bundles.save(bundle, tmp_path / "bundle")
        registry.register(
            settings.mlflow_tracking_uri, tmp_path / "bundle", description="", metrics={}, params={}, tags={}
        )
    registry.name_alias(settings.mlflow_tracking_uri, 1, registry.CHAMPION)
    apps = [create_app(settings, backends=Registered, refresh_seconds=0.1) for _ in range(2)]
    with TestClient(apps[0]) as one, TestClient(apps[1]) as two:
        yield settings.mlflow_tracking_uri, [one, two]


@pytest.mark.slow
def test_promotion_and_rollback_in_mlflow_reach_every_worker(workers: tuple[str, list[TestClient]]) -> None:
    uri, clients = workers

    def served(version: str) -> bool:
        answers = [client.get("/recommend", params={"user_id": "U4", "k": 1}) for client in clients]
        return all(a.status_code == 200 and a.json()["model_version"] == version for a in answers)

    eventually(lambda: served("1"))
    registry.name_alias(uri, 2, registry.CHAMPION)
    eventually(lambda: served("2"))
    registry.name_alias(uri, 1, registry.CHAMPION)
    eventually(lambda: served("1"))


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """Keepers that no application stops leave the collector's sight as they found it."""
    yield
    gc.unfreeze()
