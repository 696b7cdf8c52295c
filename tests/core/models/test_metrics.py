from math import isclose, log2, sqrt

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipelines.core.models import metrics

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


def test_mrr_is_the_place_of_the_first_hit_turned_over() -> None:
    assert metrics.per_user(HITS, WANTED, 3)["mrr"].tolist() == [1 / 2, 0.0]
    assert metrics.per_user(HITS, WANTED, 1)["mrr"].tolist() == [0.0, 0.0]


def test_summary_averages_users_and_counts_shown_items() -> None:
    summary = metrics.summary(RANKED, HITS, WANTED, n_items=10, k=3)
    assert isclose(summary["precision"], 1 / 3)
    assert summary["coverage"] == 4 / 10
    assert metrics.summary(RANKED, HITS, WANTED, 10, 1)["coverage"] == 2 / 10


def test_ndcg_of_leaves_out_users_without_relevant_items() -> None:
    scores, user = np.array([1.0, 2.0, 5.0]), np.array([0, 0, 1])
    assert isclose(metrics.ndcg_of(scores, np.array([True, False, False]), user, 2), 1 / log2(3))


# Four users: item 0 has all of them, item 1 two, items 2 and 3 one each, item 4 none.
USER_ITEMS = csr_matrix(np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 0]], float))
LISTS = np.array([[0, 1, 2], [3, -1, -1], [-1, -1, -1]])


def test_novelty_is_the_mean_self_information_in_bits() -> None:
    beyond = metrics.beyond(LISTS, USER_ITEMS, [1, 3])
    assert beyond[1]["novelty"] == (0 + 2) / 2
    assert beyond[3]["novelty"] == ((0 + 1 + 2) / 3 + 2) / 2


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    beyond = metrics.beyond(LISTS, USER_ITEMS, [2, 3])
    cosines = [2 / sqrt(4 * 2), 1 / sqrt(4 * 1), 1 / sqrt(2 * 1)]  # of 0 and 1, 0 and 2, 1 and 2
    assert isclose(beyond[2]["diversity"], 1 - cosines[0], rel_tol=1e-6)
    assert isclose(beyond[3]["diversity"], 1 - sum(cosines) / 3, rel_tol=1e-6)


def test_diversity_does_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = metrics.beyond(LISTS, USER_ITEMS, [3])
    monkeypatch.setattr(metrics, "_CELLS", 1)
    assert metrics.beyond(LISTS, USER_ITEMS, [3]) == whole


def test_arp_is_the_mean_share_of_users() -> None:
    beyond = metrics.beyond(LISTS, USER_ITEMS, [3])
    assert isclose(beyond[3]["arp"], ((1 + 1 / 2 + 1 / 4) / 3 + 1 / 4) / 2)


def test_beyond_counts_an_item_without_users_as_neither_novel_nor_popular() -> None:
    beyond = metrics.beyond(np.array([[4, 3]]), USER_ITEMS, [2])
    assert beyond[2]["novelty"] == 2.0
    assert beyond[2]["arp"] == (0 + 1 / 4) / 2


def test_beyond_of_empty_lists_is_zero() -> None:
    assert set(metrics.beyond(LISTS[2:], USER_ITEMS, [3])[3].values()) == {0.0}


def test_gini_is_between_all_alike_and_one_having_all() -> None:
    assert metrics.gini(np.array([2, 2, 2, 2])) == 0.0
    assert metrics.gini(np.array([0, 0, 0, 5])) == 3 / 4
    assert metrics.gini(np.array([3, 1])) == 1 / 4
    assert metrics.beyond(LISTS, USER_ITEMS, [3])[3]["gini"] == 1 / 5  # four items shown once, one never
