from math import isclose, log2

import numpy as np

from pipelines.core import metrics

# Two users: the first ranks 3, 1, 2 and wants {1, 2, 9}; the second ranks 0 and then nothing, and wants {5}.
RANKED = np.array([[3, 1, 2], [0, -1, -1]])
INDPTR, INDICES = np.array([0, 3, 4]), np.array([1, 2, 9, 5])
HITS = metrics.hits(RANKED, INDPTR, INDICES)
WANTED = np.diff(INDPTR)


def test_hits_are_where_the_relevant_items_stand() -> None:
    assert HITS.tolist() == [[False, True, True], [False, False, False]]


def test_hits_of_an_ended_list_are_misses() -> None:
    ended = metrics.hits(np.array([[-1]]), np.array([0, 1]), np.array([0]))
    assert ended.tolist() == [[False]]


def test_precision_divides_by_k() -> None:
    assert metrics.per_user(HITS, WANTED, 3)["precision"].tolist() == [2 / 3, 0.0]
    assert metrics.per_user(HITS, WANTED, 2)["precision"].tolist() == [1 / 2, 0.0]


def test_recall_divides_by_the_relevant() -> None:
    assert metrics.per_user(HITS, WANTED, 2)["recall"].tolist() == [1 / 3, 0.0]


def test_ndcg_divides_by_the_best_order() -> None:
    expected = (1 / log2(3) + 1 / log2(4)) / (1 + 1 / log2(3) + 1 / log2(4))
    assert isclose(metrics.per_user(HITS, WANTED, 3)["ndcg"][0], expected)


def test_ndcg_of_a_perfect_short_wish_is_one() -> None:
    perfect = np.array([[True, False, False]])
    assert metrics.per_user(perfect, np.array([1]), 3)["ndcg"].tolist() == [1.0]


def test_map_averages_precision_at_the_hits() -> None:
    assert isclose(metrics.per_user(HITS, WANTED, 3)["map"][0], (1 / 2 + 2 / 3) / 3)
    assert isclose(metrics.per_user(HITS, WANTED, 2)["map"][0], (1 / 2) / 2)


def test_summary_averages_users_and_counts_shown_items() -> None:
    summary = metrics.summary(RANKED, HITS, WANTED, n_items=10, k=3)
    assert isclose(summary["precision"], 1 / 3)
    assert summary["coverage"] == 4 / 10
    assert metrics.summary(RANKED, HITS, WANTED, 10, 1)["coverage"] == 2 / 10


def test_ndcg_of_leaves_out_users_without_relevant_items() -> None:
    scores, user = np.array([1.0, 2.0, 5.0]), np.array([0, 0, 1])
    assert isclose(metrics.ndcg_of(scores, np.array([True, False, False]), user, 2), 1 / log2(3))
