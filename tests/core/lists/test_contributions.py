from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.lists import contributions
from pipelines.core.models import ranking, scoring
from tests.serving.shop import CUT, SIZE, bundle

MODEL = bundle()
RANKER = MODEL.ranker
assert RANKER is not None


def _inputs(users: list[int]) -> np.ndarray:
    """Of all candidates of these users; -1 is nobody."""
    proposed = scoring.candidates(MODEL, MODEL.histories.take(np.array(users)), SIZE)
    features = dict.fromkeys(ranking.required("ranker_v1"), 3.0)
    return scoring.inputs(MODEL, proposed, features, CUT.timestamp())


@pytest.mark.parametrize("users", [[4], [-1], [0, -1, 7]])
def test_contributions_sum_up_to_the_score(users: list[int]) -> None:
    inputs = _inputs(users)
    found = contributions.of(RANKER, inputs)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), scoring.score(MODEL, inputs), atol=1e-5)


def test_contributions_of_trees_count_for_those_with_a_history_only() -> None:
    blend = replace(RANKER, trees=None)
    nobody, somebody = _inputs([-1]), _inputs([4])
    np.testing.assert_array_equal(contributions.of(RANKER, nobody).values, contributions.of(blend, nobody).values)
    assert np.abs(contributions.of(RANKER, somebody).values - contributions.of(blend, somebody).values).max() > 0.01


def test_contribution_of_a_place_is_what_it_lifts_above_no_place() -> None:
    """A weight of 2 and the places 0, 90 and none: 2 · (−log 10 + log 1010), 2 · (−log 100 + log 1010), 0."""
    ranker = ranking.Ranker(("svd_score", "svd_rank", "user_items"), {"svd": 2.0}, None)
    found = contributions.of(ranker, np.array([[1, 0, 5], [1, 90, 5], [1, np.nan, 5]], np.float32))
    assert found.values[:, 1] == pytest.approx([2 * np.log(101), 2 * np.log(10.1), 0.0], abs=1e-5)
    assert found.base == pytest.approx([-2 * np.log(1010)] * 3)
    assert not found.values[:, [0, 2]].any()


def test_contributions_of_nothing() -> None:
    assert contributions.of(RANKER, np.zeros((0, len(RANKER.inputs)), np.float32)).values.shape == (
        0,
        len(RANKER.inputs),
    )
