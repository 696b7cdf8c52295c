"""Which values an audit asks for, and when two of them agree."""

import numpy as np

from pipelines.core.features import audit
from pipelines.core.features.audit import SHOWN, Pair, Tally
from pipelines.core.features.brute_force import DAY, activity, nothing

SPAN = (10 * DAY, 40 * DAY)
ENTITIES = [(("u1", "i1"), 12 * DAY + 5), (("u2", "i1"), 20 * DAY)]
PAIR = Pair("user_activity_v1", ("u1",), 12 * DAY)


def draw(seed: int, n: int = 400) -> list[Pair]:
    return audit.pairs("user_item_activity_v2", ENTITIES, n, SPAN, np.random.default_rng(seed))


def test_pairs_are_the_same_for_a_seed_and_others_for_another() -> None:
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_pairs_take_entities_in_turn_and_some_that_do_not_exist() -> None:
    pairs = draw(1)
    assert len(pairs) == 400
    made_up = [pair for pair in pairs if any(key.startswith("nobody") for key in pair.keys)]
    assert 0 < len(made_up) < 30
    assert {pair.keys for pair in pairs if pair not in made_up} == {("u1", "i1"), ("u2", "i1")}


def test_pairs_are_around_midnights_and_events_and_before_and_after_all_of_them() -> None:
    times = {pair.at for pair in draw(1, 4000)}
    for moment in (12 * DAY, 13 * DAY, 14 * DAY, 20 * DAY, 43 * DAY, 12 * DAY + 5):
        assert {moment - 1, moment, moment + 1} <= times
    assert min(times) < SPAN[0]
    assert max(times) > SPAN[1]


def test_tally_counts_rows_with_a_wrong_value_once_and_each_wrong_feature() -> None:
    tally = Tally()
    tally.add(PAIR, {"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3, "c": 0})
    tally.add(PAIR, {"a": 1}, {"a": 1})
    assert (tally.compared, tally.wrong, tally.rate) == (2, 1, 0.5)
    assert dict(tally.features) == {"b": 1, "c": 1}
    assert [(m.feature, m.expected, m.found) for m in tally.first] == [("b", 2, 3), ("c", None, 0)]


def test_tally_keeps_the_first_mismatches_only() -> None:
    tally = Tally()
    for _ in range(SHOWN + 5):
        tally.add(PAIR, {"a": 1}, {"a": 2})
    assert (tally.wrong, len(tally.first)) == (SHOWN + 5, SHOWN)


def test_differences_of_a_missing_row_are_all_its_values() -> None:
    assert audit.differences({"a": 1, "b": None}, {}) == {"a": (1, None)}
    assert audit.differences({}, {"a": 1}) == {"a": (None, 1)}


def test_differences_of_floats_are_those_beyond_rounding() -> None:
    assert audit.differences({"a": 0.1 + 0.2}, {"a": 0.3}) == {}
    assert audit.differences({"a": 0.3}, {"a": 0.3 + 1e-9})
    assert audit.differences({"a": 0.3}, {"a": float("nan")})


def test_row_of_which_nothing_is_left_is_told_from_one_that_says_something() -> None:
    left = nothing("user_activity_v2")
    assert audit.is_gone("user_activity_v2", left)
    assert audit.is_gone("user_activity_v2", left | {"trend_7d_30d": None})
    assert not audit.is_gone("user_activity_v2", left | {"removals_all": 1})
    assert activity("user_activity_v2", [], DAY) is None


def test_metrics_are_rates_by_store_view_and_feature() -> None:
    wrong, right = Tally(), Tally()
    wrong.add(PAIR, {"views_1d": 1}, {"views_1d": 2})
    right.add(PAIR, {"views_1d": 1}, {"views_1d": 1})
    found = audit.metrics({"offline": {"user_activity_v1": wrong, "user_activity_v2": right}})
    assert found["offline.mismatch_rate"] == 0.5
    assert found["offline.user_activity_v1.mismatch_rate"] == 1.0
    assert found["offline.user_activity_v1.views_1d.mismatch_rate"] == 1.0
    assert found["offline.user_activity_v1.views_7d.mismatch_rate"] == 0.0
    assert found["offline.user_activity_v2.mismatch_rate"] == 0.0
