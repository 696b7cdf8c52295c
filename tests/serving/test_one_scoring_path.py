"""What is evaluated is what is served: answers over HTTP against the evaluation's own calls, for 200 users at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pipelines.core.evaluation.comparison import best
from pipelines.core.features.user_features import UserState
from pipelines.core.models import ranking, scoring, signals, sources
from pipelines.core.models.bundle import FORMAT, Bundle
from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.past import Catalogue, Past
from pipelines.settings import Settings
from serving.app import create_app
from tests.serving.shop import CUT, OPTIONS, RANKER, Memory, Shelf, eventually

USERS, ITEMS, K = 200, 120, 10
SERVICE = "ranker_v1"
PRICES = {f"P{n:03}": 1.0 + n for n in range(ITEMS)}


@dataclass
class Known(Shelf):
    """Other features of each user and item, the same however they are asked for."""

    def state(self, user_id: str) -> UserState:
        return UserState(self.user(user_id))

    def user(self, user_id: str) -> Mapping[str, float]:
        return {name: float(n + int(user_id[1:])) for n, name in enumerate(self._names("user_activity"))}

    def items(self, item_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        place = np.array([int(item_id[1:]) for item_id in item_ids], float)
        return {name: (7 * place + n) % 31 for n, name in enumerate(self._names("item_"))}


@pytest.fixture(scope="module")
def model() -> Bundle:
    """Users like every fourth item; what they like decides, with the features."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(USERS, dtype=np.int32), 12)
    item = np.where(rng.random(len(user)) < 0.8, 4 * rng.integers(0, ITEMS // 4, len(user)) + user % 4, 0)
    item = np.where(item == 0, rng.integers(0, ITEMS, len(user)), item).astype(np.int32)
    when = CUT.timestamp() - SECONDS_A_DAY * np.sort(rng.uniform(0, 60, len(user)))[::-1]
    order = rng.permutation(len(user))
    ids = (np.array([f"U{n:03}" for n in range(USERS)]), np.array([f"P{n:03}" for n in range(ITEMS)]))
    log = Interactions(*ids, user[order], item[order], np.ones(len(user), np.float32), when)
    past = Past(log, CUT.timestamp(), Catalogue.unknown(ITEMS), seed=7)
    options = {
        **OPTIONS,
        "svd": {**OPTIONS["svd"], "factors": 8},
        "item_item": {"neighbours": 20, "ridge": 0.1, "half_life_days": 60},
        "als": {"factors": 8, "unobserved": 0.1, "ridge": 0.05, "iterations": 5, "half_life_days": 60},
    }
    fitted = sources.fit_all(past, options)
    manifest = {
        "format": FORMAT,
        "feature_service": SERVICE,
        "features": ranking.input_names(list(fitted), SERVICE),
        "sources": list(fitted),
        "cut": CUT.isoformat(),
        "params": {"candidates": {"per_source": 20}},
    }
    unranked = Bundle(manifest, log.user_ids, log.item_ids, past.histories, fitted, signals.fit(past, 7), None)
    found, inputs = _offline(unranked)
    liked = (found.item_idx % 4 == found.user_pos % 4).astype(np.float32)
    ranker = ranking.train(inputs, liked, found.user_pos, manifest["features"], RANKER, seed=7)
    return Bundle(**(vars(unranked) | {"ranker": ranker}))


def _offline(model: Bundle) -> tuple[scoring.Candidates, np.ndarray]:
    """The candidates of all users in one batch, and what the ranker reads of them."""
    shelf, users = Known(), model.user_ids.tolist()
    found = scoring.candidates(model, model.histories, 20)
    of_items = shelf.items(model.item_ids.tolist())
    features = dict.fromkeys(ranking.required(SERVICE), np.nan)
    features |= {name: values[found.item_idx] for name, values in of_items.items()}
    of_users = [shelf.user(user) for user in users]
    features |= {name: np.array([one[name] for one in of_users])[found.user_pos] for name in of_users[0]}
    return found, scoring.inputs(model, found, features, CUT.timestamp())


def test_answers_are_the_evaluations_lists_and_scores(model: Bundle, tmp_path: Path) -> None:
    found, inputs = _offline(model)
    scores = scoring.score(model, inputs)
    lists = best(found, scores, K)
    score_of = dict(
        zip(zip(found.user_pos.tolist(), found.item_idx.tolist(), strict=True), scores.tolist(), strict=True)
    )
    with TestClient(
        create_app(Settings.load(tmp_path, {}), backends=lambda _: Memory({1: model}, shelf=Known(prices=PRICES)))
    ) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        for n, user in enumerate(model.user_ids.tolist()):
            answer = client.get("/recommend", params={"user_id": user, "k": K}).json()
            assert [item["item_id"] for item in answer["items"]] == model.item_ids[lists[n]].tolist()
            assert [item["score"] for item in answer["items"]] == [score_of[n, item] for item in lists[n].tolist()]
