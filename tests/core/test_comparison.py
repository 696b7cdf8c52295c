import numpy as np

from pipelines.core import comparison
from tests.core.board import bundle


def test_relevance_counts_items_that_the_bundle_does_not_know() -> None:
    model = bundle()
    found = comparison.relevance(model, np.array(["u00", "u00", "u03"]), np.array(["i02", "new", "i01"]))
    assert found.count.tolist() == [2, 1]
    assert found.indices.tolist() == [2, len(model.item_ids), 1]


def test_by_k_never_credits_an_unknown_item() -> None:
    model = bundle()
    found = comparison.relevance(model, np.array(["u00", "u00"]), np.array(["i02", "new"]))
    values = comparison.by_k(np.array([[2, 3]]), found, len(model.item_ids), [1, 2])
    assert values[1]["precision"] == 1.0
    assert values[2]["recall"] == 1 / 2


def test_difference_of_equals_is_zero_and_of_a_constant_gap_is_the_gap() -> None:
    one = np.linspace(0, 1, 50)
    assert comparison.difference(one, one, np.random.default_rng(1)) == (0.0, 0.0, 0.0)
    gap, low, high = comparison.difference(one + 0.25, one, np.random.default_rng(1))
    assert np.allclose([gap, low, high], 0.25)


def test_difference_repeats_with_the_same_seed() -> None:
    one, other = np.random.default_rng(3).random((2, 40))
    first, again = (comparison.difference(one, other, np.random.default_rng(5)) for _ in range(2))
    assert first == again
    assert first[1] < first[0] < first[2]
