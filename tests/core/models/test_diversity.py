from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.models import diversity
from tests.serving.shop import bundle

NONE = np.full(3, -1, np.int32)


def test_mmr_without_trade_off_is_by_relevance() -> None:
    relevance, vectors = np.array([0.5, 3.0, 1.0]), np.ones((3, 2), np.float32)
    assert diversity.mmr(relevance, vectors, NONE, 3, 0.0).tolist() == [1, 2, 0]


def test_mmr_weighs_relevance_against_likeness() -> None:
    """Relevance on 0..1 is 1, 0.9, 0; the second points where the first does, the third elsewhere.

    After the first, with t = 0.6: 0.4 · 0.9 − 0.6 · ½ · 1 = 0.06 for the second, 0.4 · 0 − 0 = 0 for the third; with
    t = 0.7 it is 0.3 · 0.9 − 0.35 = −0.08 against 0.
    """
    relevance, vectors = np.array([20.0, 19.0, 10.0]), np.array([[1, 0], [2, 0], [0, 5]], np.float32)
    assert diversity.mmr(relevance, vectors, NONE, 2, 0.6).tolist() == [0, 1]
    assert diversity.mmr(relevance, vectors, NONE, 2, 0.7).tolist() == [0, 2]


def test_mmr_takes_items_of_one_category_for_alike() -> None:
    """Factors say nothing; of the category of the first: 0.4 · 0.9 − 0.6 · ½ = 0.06 against 0.4 · 0.2 = 0.08."""
    relevance, vectors = np.array([1.0, 0.9, 0.2, 0.0]), np.zeros((4, 2), np.float32)
    assert diversity.mmr(relevance, vectors, np.array([7, 7, 8, 8]), 3, 0.6).tolist() == [0, 2, 1]


def test_mmr_counts_the_likeness_to_the_most_alike_only() -> None:
    """Opposite directions are no less alike than right angles."""
    relevance, vectors = np.array([1.0, 0.5, 0.5]), np.array([[1, 0], [-1, 0], [0, 1]], np.float32)
    assert diversity.mmr(relevance, vectors, NONE, 3, 0.9).tolist() == [0, 1, 2]


def test_mmr_keeps_to_the_cap_and_to_what_is_given() -> None:
    relevance, category = np.array([5.0, 4.0, 3.0, 2.0, 1.0]), np.array([1, 1, 1, -1, -1])
    vectors = np.zeros((5, 1), np.float32)
    assert diversity.mmr(relevance, vectors, category, 5, 0.0, most=2).tolist() == [0, 1, 3, 4]
    assert diversity.mmr(relevance, vectors, category, 5, 0.0, most=2, given=[2]).tolist() == [0, 3, 4]


@pytest.mark.parametrize("n", [0, 1])
def test_mmr_of_few_rows(n: int) -> None:
    found = diversity.mmr(np.ones(n), np.ones((n, 2), np.float32), np.zeros(n, np.int32), 10, 0.5)
    assert found.tolist() == list(range(n))


def test_occurrence_counts_the_rows_before_of_a_category() -> None:
    assert diversity.occurrence(np.array([3, 1, 3, -1, 1, 3, -1])).tolist() == [0, 0, 1, 0, 1, 2, 0]


def test_capped_leaves_the_first_of_each_category() -> None:
    category = np.array([3, 1, 3, -1, 1, 3, -1, -1])
    assert diversity.capped(category, 2, np.zeros(0, int)).tolist() == [True, True, True, True, True, False, True, True]
    assert diversity.capped(category, 1, np.array([1])).tolist() == [True, False, False, True, False, False, True, True]


def test_interleave_lets_categories_take_turns() -> None:
    category = np.array([3, 3, 3, 3, 1, -1, 3, 1, 1])
    assert diversity.interleave(category, 2).tolist() == [0, 1, 4, 5, 7, 2, 3, 8, 6]
    assert diversity.interleave(category, 9).tolist() == list(range(9))


def test_vectors_are_factors_of_the_model() -> None:
    model = bundle()
    found = diversity.vectors(model)(np.array([2, 0]))
    assert found.tolist() == model.sources["svd"]["item_factors"][[2, 0]].tolist()


def test_vectors_without_factors_are_neighbours() -> None:
    """On the checkerboard even items lead to even ones and odd to odd; no two of the ten share a bucket."""
    model = bundle()
    without = replace(model, sources={"covisitation": model.sources["covisitation"]})
    found = diversity.vectors(without)(np.arange(10))
    alike = found @ found.T > 0
    assert alike.tolist() == [[a % 2 == b % 2 for b in range(10)] for a in range(10)]
    assert np.count_nonzero(found) == len(model.sources["covisitation"]["data"])


def test_vectors_without_either_say_nothing() -> None:
    model = bundle()
    found = diversity.vectors(replace(model, sources={"popularity": model.sources["popularity"]}))(np.arange(3))
    assert found.tolist() == [[0.0], [0.0], [0.0]]
