import numpy as np
import pytest

from pipelines.core.models import factor_index
from pipelines.core.models.factor_index import FactorScorer, build, rows
from pipelines.core.models.kernels import search as kernels
from pipelines.core.models.search import Seen

ITEMS, FACTORS, USERS = 3_000, 16, 40


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(item factors of 30 directions and any length, an index that doesn't look at all of them)."""
    monkeypatch.setattr(factor_index, "WHOLE", 1_000)
    monkeypatch.setattr(factor_index, "LONGEST", 100)
    monkeypatch.setattr(factor_index, "CLUSTER_ITEMS", 50)
    monkeypatch.setattr(factor_index, "PROBED", 500)
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(30, FACTORS))[rng.integers(0, 30, ITEMS)] + 0.3 * rng.normal(size=(ITEMS, FACTORS))
    factors = (directions * rng.lognormal(size=(ITEMS, 1))).astype(np.float32)
    return factors, build(factors, np.random.default_rng(7))


def users() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(USERS, FACTORS)).astype(np.float32)


def scorer(arrays: dict[str, np.ndarray]) -> FactorScorer:
    return FactorScorer(users(), np.ones(USERS, bool), arrays)


def test_search_of_a_large_catalogue_finds_nearly_all_of_the_best(large: tuple[np.ndarray, dict]) -> None:
    factors, arrays = large
    exact = scorer({"item_factors": factors}).top(20, Seen.nothing(USERS))
    found = scorer(arrays).top(20, Seen.nothing(USERS))
    assert len(found) == 20 * USERS
    assert np.isin(exact, found).mean() > 0.97


def test_search_of_a_large_catalogue_looks_at_a_part_of_it(large: tuple[np.ndarray, dict]) -> None:
    found = scorer(large[1]).top(ITEMS, Seen.nothing(USERS))
    assert 100 < len(found) / USERS < ITEMS / 2


def test_every_item_has_its_own_factors_in_the_index(large: tuple[np.ndarray, dict]) -> None:
    factors, arrays = large
    np.testing.assert_array_equal(rows(arrays, np.arange(ITEMS)), factors)
    np.testing.assert_array_equal(arrays["item_factors"][arrays["row_of"]], factors)


def test_coarse_rows_are_nearly_the_factors(large: tuple[np.ndarray, dict]) -> None:
    _, arrays = large
    error = np.abs(arrays["coarse"] * arrays["step"][:, None] - arrays["item_factors"])
    assert (error <= 0.501 * arrays["step"][:, None]).all()
    assert (np.abs(arrays["coarse"]).max(axis=1) == 127).all()


def test_scores_are_the_inner_products(large: tuple[np.ndarray, dict]) -> None:
    factors, arrays = large
    user, item = np.array([0, 3, 3]), np.array([5, 7, 2_999])
    expected = (users()[user] * factors[item]).sum(axis=1)
    np.testing.assert_allclose(scorer(arrays).of(user, item), expected, rtol=1e-4, atol=1e-5)


def test_search_of_a_small_catalogue_is_exact_and_passes_over_what_was_seen() -> None:
    small = FactorScorer(np.eye(2, dtype=np.float32), np.array([True, True]), {"item_factors": np.array(
        [[1, 0], [3, 0], [2, 5], [2, 4]], np.float32)})  # fmt: skip
    seen = Seen(*kernels.sets(np.array([0, 1, 1]), np.array([1], np.int32)))  # user 0 has seen item 1
    assert small.top(2, seen).tolist() == [2, 3, 4 + 2, 4 + 3]
    assert small.top(1, seen).tolist() == [2, 4 + 2]  # of items 2 and 3, which are equal to user 0, the first


def test_search_says_nothing_to_users_that_are_not_known() -> None:
    nobody = FactorScorer(np.ones((1, 2), np.float32), np.array([False]), {"item_factors": np.ones((3, 2), np.float32)})
    assert nobody.top(2, Seen.nothing(1)).tolist() == []
    assert np.isnan(nobody.of(np.array([0]), np.array([1]))).all()


def test_build_repeats_with_the_same_seed(large: tuple[np.ndarray, dict]) -> None:
    again = build(large[0], np.random.default_rng(7))
    for name, array in large[1].items():
        np.testing.assert_array_equal(array, again[name])
