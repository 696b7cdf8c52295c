import numpy as np
import pytest

from pipelines.core.models import blend


def test_standing_falls_with_the_logarithm_of_the_place() -> None:
    assert blend.standings(np.array([[0.0, 90.0]])).tolist()[0] == pytest.approx([-np.log(10), -np.log(100)])


def test_standing_with_a_source_that_says_nothing_is_the_last() -> None:
    assert blend.standings(np.array([[np.nan]]))[0, 0] == pytest.approx(-np.log(1010))


def examples(users: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ten candidates a user; the first source puts what is gained first, the second ranks by chance."""
    rng = np.random.default_rng(3)
    ranks = np.stack([np.tile(np.arange(10.0), users), np.concatenate([rng.permutation(10) for _ in range(users)])])
    return ranks.T, (ranks[0] == 0).astype(float), np.repeat(np.arange(users), 10)


def test_fit_trusts_the_source_that_was_right() -> None:
    right, chance = blend.fit(*examples())
    assert right > 10 * chance


def test_fit_never_turns_a_source_around() -> None:
    ranks, gains, group = examples()
    assert blend.fit(9 - ranks[:, :1], gains, group).tolist() == [blend.LEAST]


def test_margin_is_the_weighed_sum_of_the_standings() -> None:
    inputs = np.array([[9.0, 0.0, 5.0], [9.0, 5.0, 0.0]], np.float32)
    expected = [-2 * np.log(10) - np.log(15), -2 * np.log(15) - np.log(10)]
    assert blend.margin(np.array([2.0, 1.0], np.float32), inputs, np.array([1, 2])).tolist() == pytest.approx(expected)
