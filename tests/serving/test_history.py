"""What happened since the model's cut counts at once: live events, recent items, and what the request tells."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pipelines.core.features.user_features import UserState
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.histories import Histories
from pipelines.settings import Settings
from serving.app import create_app
from serving.filters import Query
from serving.history import history_of
from serving.online import OnlineStore
from serving.recommender import Recommender
from serving.rules import RuleBook
from serving.snapshot import Snapshot
from serving.tracing import Trace
from tests.serving.shop import CUT, Memory, Shelf, eventually

NOW = CUT.timestamp()
DAY = 86_400.0


def state(*events: tuple[str, str, float], recent: tuple[str, ...] = ()) -> UserState:
    """Events (item, type, days after the cut), newest first."""
    items, types, days = zip(*events, strict=True) if events else ((), (), ())
    return UserState({}, recent, items, types, NOW + DAY * np.array(days, float))


def of(model: Bundle, user: int, known: UserState, asked: Query | None = None) -> dict[str, tuple[float, float]]:
    """Item -> (age in days, weight), of a model whose log weighs a purchase eight times a view."""
    history = _history(Snapshot.read(1, _weighed(model), Shelf()), user, known, asked or Query("U1", 3))
    ids = model.item_ids[history.item_idx].tolist()
    return dict(zip(ids, zip(history.age_days.tolist(), history.weight.tolist(), strict=True), strict=True))


def _history(snapshot: Snapshot, user: int, known: UserState, asked: Query) -> Histories:
    return history_of(snapshot, user, known, asked)


def _weighed(model: Bundle) -> Bundle:
    params = {**model.manifest["params"], "event_weights": {"view": 1.0, "purchase": 8.0, "remove_from_cart": 0.0}}
    return Bundle(**(vars(model) | {"manifest": {**model.manifest, "params": params}}))


def test_history_of_an_unknown_user_is_the_session(model: Bundle) -> None:
    found = of(model, -1, state(("P3", "purchase", 0.5), ("P1", "view", 0.25)))
    assert {item: weight for item, (_, weight) in found.items()} == {"P3": 8.0, "P1": 1.0}


def test_history_has_live_events_newest_first(model: Bundle) -> None:
    found = of(model, -1, state(("P3", "view", 0.5), ("P1", "view", 0.25)))
    assert found["P3"][0] < found["P1"][0] < 0.001  # both came after the last batch


def test_history_leaves_out_what_the_model_knew_already(model: Bundle) -> None:
    assert of(model, -1, state(("P3", "view", -0.5))) == {}


def test_history_leaves_out_events_without_weight_and_unknown_items(model: Bundle) -> None:
    assert of(model, -1, state(("P3", "remove_from_cart", 0.5), ("P99", "view", 0.5))) == {}


def test_history_has_recent_items_that_the_model_does_not_know_of(model: Bundle) -> None:
    before = of(model, 1, state())
    found = of(model, 1, state(recent=("P3", "P2")))  # user 1 had met item 3 before the cut, and never item 2
    assert found.keys() - before.keys() == {"P2"}
    assert found["P3"] == before["P3"]


def test_history_has_what_the_request_tells_as_the_newest(model: Bundle) -> None:
    found = of(model, -1, state(("P3", "view", 0.5)), Query(None, 3, recent_items=("P5", "P7")))
    assert found["P5"][0] < found["P7"][0] < found["P3"][0]


@pytest.fixture
def session(memory: Memory, client: TestClient) -> dict[str, tuple]:
    """What the online store tells of users beside their features; a change counts at once."""
    return memory.shelf.sessions


def _items(client: TestClient, user: str) -> set[str]:
    answer = client.get("/recommend", params={"user_id": user, "k": 100}).json()
    return {item["item_id"] for item in answer["items"]}


def test_event_takes_its_item_out_of_the_next_answer(client: TestClient, session: dict[str, tuple]) -> None:
    assert "P4" in _items(client, "U4")
    session["U4"] = ((), ["P4"], ["view"], np.array([NOW + 60]))
    assert "P4" not in _items(client, "U4")


def test_event_of_somebody_unknown_brings_candidates_of_the_session(
    client: TestClient, session: dict[str, tuple]
) -> None:
    session["new"] = ((), ["P3", "P5"], ["view", "view"], np.array([NOW + 60, NOW + 30]))
    answer = client.get("/recommend", params={"user_id": "new", "k": 2}).json()
    assert answer["strategy"] == "session"
    assert {int(item["item_id"][1:]) % 2 for item in answer["items"]} == {
        1
    }  # its own parity, as all users of odd items


def test_item_met_between_the_cut_and_the_last_batch_stays_out(client: TestClient, memory: Memory) -> None:
    memory.shelf.as_of = CUT + timedelta(days=1)
    memory.shelf.met = {("U4", "P4")}
    eventually(lambda: "P4" not in _items(client, "U4"))


def test_answer_without_the_store_is_by_what_was_known_last(
    client: TestClient, memory: Memory, session: dict[str, tuple]
) -> None:
    session["U4"] = ((), ["P4"], ["view"], np.array([NOW + 60]))
    assert "P4" not in _items(client, "U4")
    memory.shelf.down = True
    answer = client.get("/recommend", params={"user_id": "U4", "k": 100}).json()
    assert answer["degraded"] is True
    assert answer["degraded_because"][0] == "the online features can't be read"
    assert "P4" not in {item["item_id"] for item in answer["items"]}


def test_what_was_known_of_an_erased_user_is_forgotten(model: Bundle) -> None:
    shelf = Shelf(sessions={"U4": ((), ["P4"], ["view"], np.array([NOW + 60]))})
    recommender = Recommender(OnlineStore(pause_seconds=0.0), RuleBook(None))
    snapshot = Snapshot.read(1, model, shelf)

    def shown(**how: bool) -> set[int]:
        decided = recommender.recommend(snapshot, Query("U4", 100), Trace("a test"), **how)
        return {item.item_idx for item in decided.items}

    assert 4 not in shown()
    shelf.down = True
    assert 4 not in shown()  # by what was known last
    assert 4 in shown(forgotten=True)


def test_answer_of_old_features_says_so(client: TestClient, memory: Memory) -> None:
    memory.shelf.online = CUT
    eventually(lambda: client.get("/recommend", params={"user_id": "U4"}).json()["degraded"])
    answer = client.get("/recommend", params={"user_id": "U4"}).json()
    assert answer["degraded_because"] == ["user_activity_v1 is older than 1 day, 12:00:00"]
    assert answer["strategy"] == "personalized"


def test_somebody_unknown_gets_what_is_popular_on_the_device(model: Bundle, tmp_path: Path) -> None:
    popular = model.sources["popularity"]
    phone = np.arange(10, 0, -1, dtype=np.float32)  # on phones the first items are wanted most, on all the last ones
    on_device = {
        "devices": np.array(["phone"]),
        "device_scores": phone[None],
        "device_order": np.arange(10, dtype=np.int32)[None],
    }
    known = Bundle(**(vars(model) | {"sources": {**model.sources, "popularity": {**popular, **on_device}}}))
    with TestClient(create_app(Settings.load(tmp_path, {}), backends=lambda _: Memory({1: known}))) as client:
        eventually(lambda: client.get("/ready").status_code == 200)

        def first(device: str) -> str:
            asked = {"user_id": "nobody", "k": 1, "device": device}
            return client.post("/recommend", json=asked).json()["items"][0]["item_id"]

        assert (first("phone"), first("watch")) == ("P0", "P9")
