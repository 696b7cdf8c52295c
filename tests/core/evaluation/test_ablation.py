from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from pipelines.core.evaluation import ablation
from pipelines.core.models import ranking, signals
from pipelines.core.models.ranker_inputs import SERVICES
from tests.core.board import CUT, USERS, bundle, proposed

NAMES = ["svd", "covisitation", "popularity"]
OPTIONS = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 1, "colsample": 1, "trees": 5}


@pytest.mark.parametrize("service", SERVICES)
def test_steps_grow_to_all_inputs(service: str) -> None:
    steps = ablation.steps(NAMES, service)
    for before, step in pairwise(steps):
        assert set(before.inputs) < set(step.inputs)
    assert list(steps[-1].inputs) == ranking.input_names(NAMES, service)


def test_steps_begin_with_the_sources_and_go_on_with_the_signals() -> None:
    blend, sources, items, users, pairs, *_ = ablation.steps(NAMES, "ranker_v1")
    assert (blend.inputs, blend.trees) == (tuple(f"{name}_rank" for name in NAMES), False)
    assert {f"{name}_{what}" for name in NAMES for what in ("score", "relative", "rank")} <= set(sources.inputs)
    assert not set(signals.NAMES) & set(sources.inputs)
    assert added(items, sources) == set(signals.ITEM)
    assert added(users, items) == set(signals.USER)
    assert added(pairs, users) == set(signals.PAIR)


def test_steps_give_a_view_what_is_made_of_it_and_of_views_before() -> None:
    steps = {step.name: step for step in ablation.steps(NAMES, "ranker_v1")}
    by_items = added(steps["+ item_activity_v1"], steps["+ user_activity_v1"])
    assert {"item_activity_v1__views_7d", "item_recency_days", "item_click_rate", "item_trend_views"} <= by_items
    profile = added(steps["+ item_profile_v1"], steps["+ item_activity_v1"])
    assert profile == {"item_profile_v1__price", "item_age_days", "price_against_user"}


def test_fused_sums_the_places_turned_over() -> None:
    ranks = np.array([[0.0, 9.0], [np.nan, 0.0], [np.nan, np.nan]])
    np.testing.assert_allclose(ablation.fused(ranks), [1 / 61 + 1 / 70, 1 / 61, 0.0], rtol=1e-6)


def test_predictions_read_their_own_columns() -> None:
    found = proposed(bundle(), USERS, 8)
    features = dict.fromkeys(ranking.required("ranker_v1"), 1.0)
    inputs = ranking.inputs(NAMES, found, features, CUT.timestamp(), "ranker_v1")
    names = ranking.input_names(NAMES, "ranker_v1")
    labels = (found.user_pos == found.item_idx).astype(np.float32)

    def columns(wanted: Sequence[str]) -> np.ndarray:
        return inputs[:, [names.index(name) for name in wanted]]

    trained = {
        step.name: (step, ranking.train(columns(step.inputs), labels, found.user_pos, step.inputs, OPTIONS, 1))
        for step in ablation.steps(NAMES, "ranker_v1")[:2]
    }
    for name, scores in ablation.predictions(trained, names, inputs):
        step, ranker = trained[name]
        np.testing.assert_array_equal(scores, ranking.predict(ranker, columns(step.inputs)))


def added(step: ablation.Step, before: ablation.Step) -> set[str]:
    return set(step.inputs) - set(before.inputs)
