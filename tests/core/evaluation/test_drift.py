import math

import numpy as np
import pytest

from pipelines.core.evaluation.drift import MUCH, drift, drifts, edges, histogram

NAN = float("nan")


def of(*parts: tuple[float, int]) -> np.ndarray:
    """Values, each so many times."""
    return np.concatenate([np.full(n, value) for value, n in parts])


def test_edges_are_the_inner_tenths_and_fewer_where_values_tie() -> None:
    assert edges(np.arange(100.0)).tolist() == [9, 19, 29, 39, 49, 59, 69, 79, 89]
    assert edges(of((0.0, 95), (7.0, 5), (NAN, 40))).tolist() == [0]
    assert edges(of((NAN, 3))).tolist() == []


def test_histogram_counts_up_to_each_edge_above_the_last_and_missing() -> None:
    values = np.array([-5.0, 0, 0.5, 1, 1.5, NAN, math.inf])
    assert histogram(values, np.array([0.0, 1.0])).tolist() == [2, 2, 1, 2]


def test_same_distribution_has_not_drifted() -> None:
    found = drift(np.arange(200.0), np.arange(200.0))
    assert (found.psi, found.nulls, found.medians) == (0, (0, 0), (99.5, 99.5))
    assert not found.is_much()


def test_index_is_the_sum_over_the_bins() -> None:
    found = drift(of((0.0, 50), (1.0, 50)), of((0.0, 160), (1.0, 40)))
    assert found.psi == pytest.approx(0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5))  # 0.416
    assert found.medians == (0.5, 0)
    assert found.is_much()
    assert not found.is_much(threshold=0.5)


def test_feature_that_is_no_longer_filled_drifts() -> None:
    found = drift(of((3.0, 90), (NAN, 10)), of((3.0, 40), (NAN, 60)))
    assert found.nulls == (0.1, 0.6)
    assert found.psi == pytest.approx(0.5 * math.log(0.6 / 0.1) - 0.5 * math.log(0.4 / 0.9))
    assert found.is_much()


def test_feature_that_nobody_has_any_more_is_told_apart() -> None:
    found = drift(np.arange(100.0), of((NAN, 50)))
    assert found.psi > 5 and math.isnan(found.medians[1])


def test_small_samples_drift_by_chance_and_are_not_told() -> None:
    rng = np.random.default_rng(1)
    found = drift(rng.normal(size=15), rng.normal(size=15))
    assert MUCH < found.psi < found.chance
    assert not found.is_much()


def test_samples_of_one_distribution_rarely_exceed_what_chance_explains() -> None:
    rng = np.random.default_rng(2)
    draws = [drift(rng.exponential(size=400), rng.exponential(size=400)) for _ in range(300)]
    assert sum(d.psi > d.chance for d in draws) <= 3  # one in a thousand


def test_largest_drift_comes_first() -> None:
    before = {"a": np.arange(100.0), "b": np.arange(100.0)}
    after = {"a": np.arange(100.0), "b": np.arange(100.0) + 50}
    assert list(drifts(before, after)) == ["b", "a"]
