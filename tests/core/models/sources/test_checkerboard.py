"""What every source promises, on the checkerboard."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from pipelines.core.models import scoring
from pipelines.core.models.fitting import propose_only
from pipelines.core.models.histories import Histories
from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.sources import SOURCES, fit_all
from tests.core.board import CUT, PARAMS, SIZE, USERS, events, past
from tests.core.models.sources.dense import dense

FACTORS_OR_NEIGHBOURS = ["svd", "item_item", "als", "covisitation"]
PERSONAL = [*FACTORS_OR_NEIGHBOURS, "category_popularity", "content"]
OPTIONS: dict[str, dict[str, Any]] = {
    **PARAMS["candidates"],
    "item_item": {"neighbours": 8, "ridge": 0.01, "half_life_days": 60},
    "als": {"factors": 2, "unobserved": 0.1, "ridge": 0.01, "iterations": 10, "half_life_days": 60},
    "category_popularity": {"half_life_days": 7, "taste_half_life_days": 60},
    "content": {"max_users": 100, "half_life_days": 60},
}


def described(*more: dict[str, object]) -> Past:
    """The log, whose items the catalogue calls even or odd."""
    log = past(*more)
    kinds = np.array([("even", "odd")[i % 2] for i in range(log.n_items)], object)
    return Past(log.interactions, log.at, Catalogue(kinds, kinds, np.ones(log.n_items)), log.seed)


def said(name: str, arrays: dict[str, np.ndarray], histories: Histories, n_items: int = SIZE) -> np.ndarray:
    return dense(SOURCES[name].scorer(arrays, histories), histories, n_items)


@pytest.fixture(scope="module")
def fitted() -> dict[str, dict[str, np.ndarray]]:
    return fit_all(described(), OPTIONS)


@pytest.mark.parametrize("name", FACTORS_OR_NEIGHBOURS)
def test_source_recommends_the_withheld_diagonal(name: str, fitted: dict[str, dict[str, np.ndarray]]) -> None:
    histories = past().histories
    scores = scoring.mask_seen(histories, said(name, fitted[name], histories))
    assert scores.argmax(axis=1).tolist() == list(range(SIZE))


@pytest.mark.parametrize("name", PERSONAL)
def test_source_says_nothing_to_an_unknown_user(name: str, fitted: dict[str, dict[str, np.ndarray]]) -> None:
    scores = said(name, fitted[name], described().histories.take(np.array([-1, 0])))
    assert np.isneginf(scores[0]).all()
    assert np.isfinite(scores[1]).any()


@pytest.mark.parametrize("name", OPTIONS)
def test_source_gives_float32_of_every_item(name: str, fitted: dict[str, dict[str, np.ndarray]]) -> None:
    scores = said(name, fitted[name], described().histories)
    assert (scores.dtype, scores.shape) == (np.float32, (SIZE, SIZE))
    assert not np.isnan(scores).any()


@pytest.mark.parametrize("name", OPTIONS)
def test_source_gives_one_user_what_it_gives_in_a_batch(name: str, fitted: dict[str, dict[str, np.ndarray]]) -> None:
    histories = described().histories
    batch = said(name, fitted[name], histories)
    alone = said(name, fitted[name], histories.take(USERS[4:5]))
    np.testing.assert_allclose(alone[0], batch[4], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_source_repeats_with_the_same_seed(name: str, fitted: dict[str, dict[str, np.ndarray]]) -> None:
    again = SOURCES[name].fit(described(), **OPTIONS[name])
    for key, array in fitted[name].items():
        np.testing.assert_array_equal(array, again[key])


def test_source_ignores_what_comes_after_the_cut() -> None:
    future = {"event_id": "z", "user_id": "new", "item_id": "i03", "event_type": "purchase", "quantity": 1}
    params = {**PARAMS, "candidates": OPTIONS}
    one, other = (propose_only(log, CUT, params, "no file") for log in (events(), events({**future, "timestamp": CUT})))
    assert one.user_ids.tolist() == other.user_ids.tolist()
    for name in OPTIONS:
        for key, array in one.sources[name].items():
            np.testing.assert_array_equal(array, other.sources[name][key])


@pytest.mark.parametrize("name", ["svd", "item_item", "als"])
def test_source_prefers_what_is_wanted_now_among_items_alike(name: str) -> None:
    lately = [
        {"event_id": f"l{u}", "user_id": f"u{u:02}", "item_id": "i04", "event_type": "view", "quantity": 1}
        for u in (2, 6, 8, 10)
    ]
    log = past(*({**row, "timestamp": CUT - timedelta(hours=1)} for row in lately))
    arrays = SOURCES[name].fit(log, **OPTIONS[name] | {"half_life_days": 1})
    scores = said(name, arrays, log.histories)
    assert (scores[[2, 6], 4] > scores[[2, 6], 8]).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_source_can_be_fitted_on_a_single_event(name: str) -> None:
    log = past(rows=slice(0, 1))
    scores = said(name, SOURCES[name].fit(log, **OPTIONS[name]), log.histories, 1)
    assert scores.shape == (1, 1)
    assert not np.isnan(scores).any()


def test_only_the_sources_that_options_name_are_fitted() -> None:
    assert list(fit_all(past(), {"popularity": {"half_life_days": 7}})) == ["popularity"]
