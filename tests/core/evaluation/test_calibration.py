import numpy as np

from pipelines.core.evaluation.calibration import deciles


def test_deciles_are_equal_parts_from_the_lowest_score() -> None:
    scores = np.arange(40)[::-1].astype(float)
    found = deciles(scores, scores >= 36)
    assert found.score.tolist() == [1.5 + 4 * n for n in range(10)]
    assert found.rate.tolist() == [0.0] * 9 + [1.0]


def test_deciles_have_wilson_intervals() -> None:
    found = deciles(np.zeros(1000), np.arange(1000) % 100 < 20)
    # 20 of 100: Wilson's 95 % interval is 13.3 % to 28.9 %
    np.testing.assert_allclose(found.rate, 0.2)
    np.testing.assert_allclose(found.low, 0.1334, atol=1e-4)
    np.testing.assert_allclose(found.high, 0.2888, atol=1e-4)


def test_deciles_of_few_candidates_are_fewer() -> None:
    assert len(deciles(np.array([1.0, 2.0, 3.0]), np.array([False, True, True])).rate) == 3
