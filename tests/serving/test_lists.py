"""What a shop asks of its lists, over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipelines.settings import Settings
from serving.app import create_app
from tests.serving.shop import Memory, eventually

UNSEEN_BY_U4 = {"P1", "P3", "P4", "P5", "P7", "P9"}


@contextmanager
def _running(memory: Memory, folder: Path, rules: str = "", **environ: str) -> Iterator[TestClient]:
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    settings = Settings.load(folder, {"RECOMART_RULES": "rules.yaml", **environ})
    with TestClient(create_app(settings, backends=lambda _: memory, refresh_seconds=0.05)) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        yield client


def _list(client: TestClient, **asked: Any) -> list[str]:
    response = client.post("/recommend", json={"user_id": "U4", "k": 100, **asked})
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json()["items"]]


@pytest.mark.parametrize(
    "asked", [{"user_id": "U4"}, {"user_id": "nobody"}, {"user_id": None}, {"recent_items": ["P1"]}]
)
def test_hidden_items_are_shown_to_nobody(memory: Memory, tmp_path: Path, asked: dict) -> None:
    with _running(
        memory, tmp_path, "hide: [{items: [P4]}, {categories: [odd]}]\npin: [{item: P4, position: 1}]"
    ) as client:
        found = client.post("/recommend", json={"k": 100, **asked}).json()["items"]
        assert {item["item_id"] for item in found}.isdisjoint({"P4", "P1", "P3", "P5", "P7", "P9"})
        assert client.post("/recommend", json={"k": 100, **asked, "in_stock": False}).json()["items"] == found


def test_pinned_item_stands_where_the_filters_let_it(memory: Memory, tmp_path: Path) -> None:
    with _running(memory, tmp_path, "pin: [{item: P1, position: 2}]") as client:
        assert _list(client, k=3)[1] == "P1"
        assert _list(client, user_id="nobody", k=3)[1] == "P1"
        for filters in ({"exclude": ["P1"]}, {"shown": ["P1"]}, {"exclude_categories": ["odd"]}, {"min_price": 30}):
            assert "P1" not in _list(client, **filters)


def test_pinned_item_that_the_user_has_had_does_not_come_back(memory: Memory, tmp_path: Path) -> None:
    with _running(memory, tmp_path, "pin: [{item: P2, position: 1}]") as client:
        assert set(_list(client)) == UNSEEN_BY_U4


def test_boost_moves_items_and_is_in_the_score(memory: Memory, tmp_path: Path) -> None:
    with _running(memory, tmp_path) as client:
        plain = {item["item_id"]: item["score"] for item in client.get("/recommend?user_id=U4&k=100").json()["items"]}
    with _running(memory, tmp_path, "boost: [{items: [P1], add: 100}, {items: [P4], factor: 0.5}]") as client:
        items = client.get("/recommend?user_id=U4&k=100").json()["items"]
    assert items[0]["item_id"] == "P1"
    moved = {item["item_id"]: item["score"] - plain[item["item_id"]] for item in items}
    assert moved.pop("P1") == pytest.approx(100)
    assert moved.pop("P4") == pytest.approx(-0.6931472, abs=1e-5)
    assert list(moved.values()) == pytest.approx([0] * 4, abs=1e-6)


def test_shown_items_do_not_come_again(client: TestClient) -> None:
    assert set(_list(client, shown=["P4", "P9"])) == UNSEEN_BY_U4 - {"P4", "P9"}


def test_caps_hold(client: TestClient) -> None:
    parities = sorted(int(item[1:]) % 2 for item in _list(client, max_per_category=1))
    assert parities == [0, 1]
    assert len(_list(client, max_per_category=2, user_id="nobody")) == 4


def test_diversity_keeps_the_first_and_mixes_the_rest(client: TestClient) -> None:
    plain, mixed = _list(client, user_id="nobody"), _list(client, user_id="nobody", diversity=0.9)
    assert set(plain) == set(mixed)
    parities = [int(item[1:]) % 2 for item in mixed[:2]]
    assert sorted(parities) == [0, 1]
    assert _list(client, user_id="nobody", diversity=0.9) == mixed


def test_popular_items_take_turns_by_category(client: TestClient, memory: Memory) -> None:
    """For somebody unknown: two of a category, then two of the other."""
    parities = [int(item[1:]) % 2 for item in _list(client, user_id="nobody", k=4)]
    assert sorted(parities) == [0, 0, 1, 1]


def test_anonymous_session_leads_to_what_goes_with_it(client: TestClient) -> None:
    answer = client.post("/recommend", json={"recent_items": ["P1", "unheard of"], "k": 3}).json()
    assert (answer["user_id"], answer["strategy"]) == (None, "session")
    found = [item["item_id"] for item in answer["items"]]
    assert all(int(item[1:]) % 2 == 1 for item in found)
    assert "P1" not in found


def test_recent_items_count_for_known_users_too(client: TestClient) -> None:
    assert "P1" not in _list(client, recent_items=["P1"])
