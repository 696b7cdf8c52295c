from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from pipelines.core.features.user_features import UserFeatures
from pipelines.core.models import scoring
from pipelines.io.models.mlflow_recommender import Known
from pipelines.io.models.rule_file import load
from pipelines.io.models.shop_rules import in_force
from pipelines.io.models.user_lists import SCHEMA, UserLists
from pipelines.settings import Settings
from serving.app import create_app
from tests.serving.shop import CUT, SIZE, Memory, Shelf, bundle, eventually

MODEL = bundle()
USERS = [f"U{u}" for u in range(SIZE)]


def _lists(shelf: Shelf, users: Sequence[str] = USERS, k: int = 3) -> pa.Table:
    return pa.concat_tables(UserLists(Known(MODEL, shelf)).tables(users, k))


@pytest.fixture(params=[64, 3, 1])
def users_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(scoring, "USERS_AT_ONCE", request.param)
    yield request.param


RULES = """
hide: [{items: [P8]}]
boost: [{categories: [odd], add: 0.7}]
pin: [{item: P3, position: 2}, {item: P8, position: 1}]
"""


@pytest.mark.parametrize("rules", ["", RULES])
@pytest.mark.parametrize("sold_out", [set(), {"P4", "P9"}])
@pytest.mark.parametrize("k", [1, 6])
def test_lists_are_those_of_the_service(
    tmp_path: Path, users_at_once: int, k: int, sold_out: set[str], rules: str
) -> None:
    memory = Memory({1: MODEL}, shelf=Shelf(sold_out=sold_out))
    (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
    known = Known(MODEL, memory.shelf)
    active = in_force(load(tmp_path / "rules.yaml"), known, 0.0)
    found = pa.concat_tables(UserLists(known, active).tables([*USERS, "nobody"], k)).to_pylist()
    settings = Settings.load(tmp_path, {"RECOMART_RULES": "rules.yaml"})
    with TestClient(create_app(settings, backends=lambda _: memory, refresh_seconds=0.05)) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        for user in [*USERS, "nobody"]:
            items = client.post("/recommend", json={"user_id": user, "k": k}).json()["items"]
            mine = [row for row in found if row["user_id"] == user]
            for column in ("item_id", "rank", "source"):
                assert [row[column] for row in mine] == [item[column] for item in items]
            assert [row["score"] for row in mine] == pytest.approx([item["score"] for item in items])


def test_lists_have_a_schema_and_tell_how_far_they_are() -> None:
    told: list[int] = []
    tables = list(UserLists(Known(MODEL, Shelf())).tables(USERS, 1, told.append))
    assert [table.schema for table in tables] == [SCHEMA]
    assert told == [SIZE]


class Busy(Shelf):
    """U4 has come to have P4 since the model was made."""

    def request(self, user_id: str, item_ids: Sequence[str], categories: Sequence[str]) -> UserFeatures:
        read = super().request(user_id, item_ids, categories)
        met = np.array([1.0 if (user_id, item) == ("U4", "P4") else np.nan for item in item_ids])
        items: Mapping[str, np.ndarray] = dict.fromkeys(read.items, met)
        return UserFeatures(read.user, items, read.categories, {})


def test_lists_leave_out_what_a_user_came_to_have_since() -> None:
    first = {row["user_id"]: row["item_id"] for row in _lists(Busy(as_of=CUT + timedelta(days=1)), k=1).to_pylist()}
    assert first["U5"] == "P5"
    assert first["U4"] != "P4"
