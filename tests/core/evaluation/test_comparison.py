import numpy as np
import pytest

from pipelines.core.evaluation import comparison
from pipelines.core.evaluation.comparison import Relevance
from tests.core.board import CUT, SIZE, bundle, proposed


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


def test_relevance_of_some_items_keeps_all_users() -> None:
    whole = Relevance(np.array(["a", "b", "c"]), np.array([0, 2, 3, 4]), np.array([5, 6, 5, 7]))
    some = whole.only(np.array([False, True, False, True]))
    assert some.count.tolist() == [1, 0, 1]
    assert some.indices.tolist() == [6, 7]


def test_values_of_users_without_relevant_items_are_unknown() -> None:
    relevance = Relevance(np.array(["a", "b"]), np.array([0, 1, 1]), np.array([5]))
    values = comparison.values(np.array([[4, 5], [4, 5]]), relevance, "mrr", 2)
    np.testing.assert_array_equal(values, [1 / 2, np.nan])


def test_estimates_hold_the_mean_between_their_bounds() -> None:
    found = comparison.estimates({"one": np.linspace(0, 1, 101), "even": np.full(101, 0.25)}, np.random.default_rng(1))
    assert found["one"].low < found["one"].mean == 0.5 < found["one"].high
    assert (found["even"].low, found["even"].mean, found["even"].high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    ("shift", "words"), [(0.5, "beats"), (-0.5, "is worse than"), (0.0, "can't be told apart from")]
)
def test_verdict_says_whether_the_interval_leaves_zero_out(shift: float, words: str) -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, 200)
    verdicts = comparison.verdicts({"other": np.zeros(200), "ours": shift + noise - noise.mean()}, rng(), "ours")
    assert verdicts["other"].words == words
    assert (verdicts["other"].p < 0.01) == (shift != 0)
    assert np.isclose(verdicts["other"].difference, shift)


def test_best_leaves_a_short_list_open() -> None:
    found = proposed(bundle(), [0, -1], 2)
    lists = comparison.best(found, found.source_scores[:, 2], 5)
    of_second = found.item_idx[found.user_pos == 1]
    assert (lists[1] >= 0).sum() == len(of_second)
    assert set(lists[1][lists[1] >= 0]) == set(of_second)


def test_all_time_shows_what_most_users_had_and_this_one_had_not() -> None:
    many = [
        {"event_id": f"m{u}", "user_id": f"u{u:02}", "item_id": "i03", "event_type": "view", "quantity": 1}
        for u in range(0, SIZE, 2)
    ]
    model = bundle(*({**row, "timestamp": CUT - CUT.resolution} for row in many))
    lists = comparison.all_time(model, np.array(["u03", "u00"]), 1)
    assert lists[0, 0] == 3  # not seen by user 3, whose diagonal it is
    assert lists[1, 0] != 3


def rng() -> np.random.Generator:
    return np.random.default_rng(1)
