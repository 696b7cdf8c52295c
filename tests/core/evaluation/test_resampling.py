import numpy as np
import pytest

from pipelines.core.evaluation import resampling

VALUES = np.random.default_rng(3).normal(0.3, 1.0, (400, 2))


def test_means_are_those_of_users_drawn_with_replacement() -> None:
    drawn = resampling.means(np.array([[0.0], [1.0]]), np.random.default_rng(1), rounds=4000)
    assert set(drawn.ravel().tolist()) == {0.0, 0.5, 1.0}
    assert abs((drawn == 0.5).mean() - 1 / 2) < 0.05
    assert abs((drawn == 1.0).mean() - 1 / 4) < 0.05


def test_means_of_columns_share_the_draws() -> None:
    drawn = resampling.means(np.stack([VALUES[:, 0], 2 * VALUES[:, 0]], axis=1), np.random.default_rng(1))
    np.testing.assert_allclose(drawn[:, 1], 2 * drawn[:, 0])


def test_interval_is_two_standard_errors_wide() -> None:
    low, high = resampling.interval(resampling.means(VALUES, np.random.default_rng(1)))
    expected = 2 * 1.96 * VALUES.std(axis=0) / np.sqrt(len(VALUES))
    np.testing.assert_allclose(high - low, expected, rtol=0.1)


def test_draws_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resampling.means(VALUES, np.random.default_rng(1), rounds=7)
    monkeypatch.setattr(resampling, "_CELLS", 2 * len(VALUES))
    parts = resampling.means(VALUES, np.random.default_rng(1), rounds=7)
    np.testing.assert_allclose(parts, whole, rtol=1e-12)


def test_p_value_counts_the_signs_that_give_as_much() -> None:
    four_alike = np.ones((4, 1))  # of the 16 ways to give signs 2 have a sum of 4 or -4
    (p,) = resampling.p_values(four_alike, np.random.default_rng(1))
    assert abs(p - 2 / 16) < 0.02


def test_p_value_of_no_difference_is_one_and_of_a_large_one_the_least() -> None:
    gaps = np.stack([np.zeros(50), np.ones(50)], axis=1)
    none, large = resampling.p_values(gaps, np.random.default_rng(1), permutations=999)
    assert none == 1.0
    assert large == 1 / 1000


def test_p_values_under_chance_alone_are_uniform() -> None:
    chance = np.random.default_rng(5).normal(size=(60, 200))
    p = resampling.p_values(chance, np.random.default_rng(1), permutations=500)
    assert abs((p < 0.2).mean() - 0.2) < 0.09
