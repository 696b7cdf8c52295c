import numpy as np
import pytest
import xgboost as xgb

from pipelines.core.models.forest import Forest

ROWS, COLUMNS = 1_000, 12


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    """A third of it NaN, some infinite, many equal to a threshold."""
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(size=(ROWS, COLUMNS)), 1).astype(np.float32)
    values[rng.random(values.shape) < 0.33] = np.nan
    values[rng.random(values.shape) < 0.02] = -np.inf
    return values


def booster(inputs: np.ndarray, depth: int, trees: int = 20) -> xgb.Booster:
    labels = np.nan_to_num(inputs[:, 0], neginf=0) - np.isnan(inputs[:, 1]) + np.nan_to_num(inputs[:, 2], neginf=0) ** 2
    data = xgb.DMatrix(np.nan_to_num(inputs, nan=np.nan, neginf=-9), labels, missing=np.nan)
    return xgb.train({"max_depth": depth, "base_score": 0.0, "eta": 0.3}, data, trees)


@pytest.mark.parametrize("depth", [1, 4, 9])
def test_scores_are_those_of_xgboost(inputs: np.ndarray, depth: int) -> None:
    trained = booster(inputs, depth)
    start = np.linspace(-1, 1, ROWS, dtype=np.float32)
    for trees in (0, 1, 7):
        expected = trained.inplace_predict(
            inputs, missing=np.nan, base_margin=start, iteration_range=(0, trees), predict_type="margin"
        )
        found = Forest.of(bytes(trained.save_raw("json"))).scores(inputs, start, trees)
        np.testing.assert_array_equal(found, expected)


def test_scores_of_a_row_do_not_depend_on_the_others(inputs: np.ndarray) -> None:
    forest = Forest.of(bytes(booster(inputs, 4).save_raw("json")))
    start = np.zeros(ROWS, np.float32)
    alone = [forest.scores(inputs[n : n + 1], start[:1])[0] for n in range(0, ROWS, 97)]
    np.testing.assert_array_equal(alone, forest.scores(inputs, start)[::97])


def test_trees_that_never_split_add_the_same_to_all(inputs: np.ndarray) -> None:
    data = xgb.DMatrix(np.zeros((50, 1)), np.ones(50), missing=np.nan)
    forest = Forest.of(bytes(xgb.train({"base_score": 0.0}, data, 2).save_raw("json")))
    found = forest.scores(inputs, np.zeros(ROWS, np.float32))
    assert found[0] > 0
    assert (found == found[0]).all()
