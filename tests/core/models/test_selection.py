import numpy as np

from pipelines.core.models import selection
from pipelines.core.models.selection import Rows

NAMES = ["good_score", "good_relative", "good_rank", "popularity_score", "popularity_relative", "popularity_rank", "x"]
OPTIONS = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 1, "subsample": 1, "colsample": 1, "trees": 20}


def rows(users: int, wanted_by: str, seed: int) -> Rows:
    """Twelve candidates a user; what is gained is the best of the column ``wanted_by``."""
    rng = np.random.default_rng(seed)
    ranks = np.concatenate([np.stack([rng.permutation(12), rng.permutation(12)], axis=1) for _ in range(users)])
    signal = np.concatenate([rng.permutation(12) for _ in range(users)])
    inputs = np.zeros((12 * users, len(NAMES)), np.float32)
    inputs[:, [2, 5]], inputs[:, 6] = ranks, signal
    labels = (inputs[:, NAMES.index(wanted_by)] == 0).astype(np.float32)
    return Rows(inputs, labels, np.repeat(np.arange(users), 12))


def decide(older: Rows, newest: Rows) -> selection.Choice:
    return selection.decide(older, newest, newest, NAMES, OPTIONS, seed=7)


def test_decide_takes_trees_where_a_signal_decides() -> None:
    choice = decide(rows(60, "x", 1), rows(60, "x", 2))
    assert choice.trees > 0
    assert choice.measured[f"{choice.trees} trees"] > choice.measured["blend"]


def test_decide_needs_no_trees_where_a_source_says_it_all() -> None:
    choice = decide(rows(60, "good_rank", 1), rows(60, "good_rank", 2))
    assert choice.trees == 0
    assert choice.measured["blend"] == 1.0


def test_decide_takes_a_source_alone_where_the_past_misleads() -> None:
    choice = decide(rows(60, "popularity_rank", 1), rows(60, "good_rank", 2))
    assert choice.source == "good"


def test_decide_falls_back_to_popularity_with_a_handful_of_users() -> None:
    choice = decide(rows(10, "x", 1), rows(10, "x", 2))
    assert (choice.source, choice.trees, choice.users) == ("popularity", 0, 0)


def test_decide_with_one_cut_checks_on_other_users_than_it_learns_from() -> None:
    newest = rows(80, "x", 2)
    choice = decide(newest.where(np.zeros(len(newest.group), bool)), newest)
    assert choice.users == 40
    assert choice.trees > 0


def test_fit_of_a_source_alone_ranks_as_the_source_does() -> None:
    some = rows(5, "x", 1)
    ranker = selection.fit(some, selection.Choice(0, "good", {}, 0), NAMES, OPTIONS, seed=7)
    place = some.inputs[:, 2].reshape(5, 12)
    assert (ranker.margin(some.inputs).reshape(5, 12).argsort(axis=1) == (-place).argsort(axis=1)).all()


def test_ndcg_counts_missing_scores_last() -> None:
    two = Rows(np.zeros((2, 0), np.float32), np.array([1.0, 0.0], np.float32), np.array([0, 0]))
    assert selection.ndcg(np.array([np.nan, 1.0]), two).tolist() == [1 / np.log2(3)]
