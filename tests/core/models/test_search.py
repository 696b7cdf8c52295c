import numpy as np

from pipelines.core.models.kernels import search as kernels
from pipelines.core.models.search import Seen, Shared, Sparse, best_first, propagated

NOTHING = Seen.nothing(2)


def sparse() -> Sparse:
    """Of four items: user 0 likes 0, 2 and 3, user 1 only 1."""
    return Sparse.summed(np.array([0, 4, 5]), np.array([2, 0, 3, 2, 1]), np.array([1.0, 2.0, 3.0, 1.0, 5.0]), n_items=4)


def seen(*items: list[int]) -> Seen:
    return Seen(
        *kernels.sets(np.cumsum([0, *map(len, items)]), np.array([one for some in items for one in some], np.int32))
    )


def test_sparse_adds_what_an_item_gets_more_than_once() -> None:
    assert sparse().of(np.array([0, 0, 0, 1]), np.array([0, 2, 3, 1])).tolist() == [2.0, 2.0, 3.0, 5.0]


def test_sparse_top_are_the_best_of_each_user_and_of_equals_the_first() -> None:
    assert sparse().top(2, NOTHING).tolist() == [0, 3, 5]


def test_sparse_top_passes_over_what_was_seen() -> None:
    assert sparse().top(2, seen([3], [])).tolist() == [0, 2, 5]


def test_sparse_says_nothing_of_items_that_are_not_listed() -> None:
    assert np.isnan(sparse().of(np.array([0, 1]), np.array([1, 3]))).all()


def test_sparse_top_of_many_are_those_that_sorting_finds() -> None:
    rng = np.random.default_rng(1)
    items, values = rng.integers(0, 5_000, 3_000), rng.integers(0, 50, 3_000)
    total = np.bincount(items, values, 5_000)
    expected = np.lexsort((np.arange(5_000), -total))[:40]
    found = Sparse.summed(np.array([0, 3_000]), items, values, 5_000).top(40, Seen.nothing(1))
    assert found.tolist() == sorted(expected.tolist())


def test_shared_top_passes_over_what_each_has_seen() -> None:
    scores = np.array([1.0, 4.0, 4.0, 2.0], np.float32)
    popular = Shared(scores, best_first(scores), users=2)
    assert popular.top(2, NOTHING).tolist() == [1, 2, 4 + 1, 4 + 2]
    assert popular.top(2, seen([1, 2], [])).tolist() == [0, 3, 5, 6]


def test_seen_knows_each_users_items() -> None:
    some = seen([5, 2], [], [7])
    assert some.among(np.array([0, 0, 0, 1, 2]), np.array([2, 5, 7, 2, 7])).tolist() == [True, True, False, False, True]


def test_propagated_is_a_matrix_product() -> None:
    # item 0 leads to 1 (1.0) and 4 (2.0), item 2 to 1 (10.0)
    matrix = {
        "indptr": np.array([0, 2, 2, 3, 3, 3], np.int32),
        "indices": np.array([1, 4, 1], np.int32),
        "data": np.array([1.0, 2.0, 10.0], np.float32),
    }
    product = propagated(np.array([0, 2, 2]), np.array([0, 2]), np.array([2.0, 2.0]), matrix)
    assert product.of(np.array([0, 0]), np.array([1, 4])).tolist() == [22.0, 4.0]
    assert np.isnan(product.of(np.array([0, 1]), np.array([0, 1]))).all()


def test_places_are_by_falling_score_of_each_user_and_of_equals_the_first() -> None:
    column = np.array([[-1.0], [2.0], [0.0], [-0.0], [np.nan], [-3.0], [7.0]], np.float32)
    places, _ = kernels.places(np.array([0, 6, 7]), column)
    np.testing.assert_array_equal(places[:, 0], [3, 0, 1, 2, np.nan, 4, 0])


def test_places_name_the_column_where_a_row_is_best() -> None:
    scores = np.array([[1.0, 5.0], [2.0, 4.0], [np.nan, 3.0], [np.nan, np.nan]], np.float32)
    assert kernels.places(np.array([0, 4]), scores)[1].tolist() == [1, 0, 1, 0]


def test_distinct_cells_ascend() -> None:
    assert kernels.distinct(np.array([5, 1, 5, 9, 1])).tolist() == [1, 5, 9]
