"""The newest complete day against the week before it, by hand."""

from datetime import UTC, date, datetime
from math import log

import pytest

from pipelines.core.lake import newest_day as nd

ARRIVAL = datetime(2026, 2, 9, 1, tzinfo=UTC)
WEEK = {f"2026-02-0{day}": 100 for day in range(1, 8)}


def test_newest_day_was_over_when_the_newest_file_arrived() -> None:
    found = nd.newest_day(WEEK | {"2026-02-08": 150, "2026-02-09": 3}, ARRIVAL, {})
    assert found is not None
    assert (found.day, found.events, found.mean, found.volume) == (date(2026, 2, 8), 150, 100.0, 1.5)


def test_newest_day_compares_with_seven_days_only() -> None:
    found = nd.newest_day({"2026-01-31": 9_000} | WEEK | {"2026-02-08": 150}, ARRIVAL, {})
    assert found is not None
    assert (min(found.before), len(found.before)) == (date(2026, 2, 1), 7)


def test_mean_leaves_out_days_without_events() -> None:
    found = nd.newest_day({"2026-02-01": 10, "2026-02-04": 20, "2026-02-07": 60, "2026-02-08": 15}, ARRIVAL, {})
    assert found is not None
    assert (found.mean, found.volume, found.comparable) == (30.0, 0.5, True)


def test_newest_day_needs_three_days_before() -> None:
    found = nd.newest_day({"2026-02-06": 1, "2026-02-07": 1, "2026-02-08": 1}, ARRIVAL, {})
    assert found is not None
    assert not found.comparable


def test_no_day_was_over() -> None:
    assert nd.newest_day({"2026-02-09": 5, "2026-02-08": 0}, ARRIVAL, {}) is None


def test_live_events_without_the_log_leave_the_newest_day_to_the_log() -> None:
    found = nd.newest_day(WEEK | {"2026-02-08": 2}, ARRIVAL, {"2026-02-08": 2})
    assert found is not None
    assert (found.day, found.events, found.volume) == (date(2026, 2, 7), 100, 1.0)
    assert found.waiting == {date(2026, 2, 8): 2}


def test_days_of_live_events_alone_compare_with_each_other() -> None:
    live = {"2026-02-05": 40, "2026-02-06": 50, "2026-02-07": 60}
    found = nd.newest_day(WEEK | live | {"2026-02-08": 5}, ARRIVAL, live | {"2026-02-08": 5})
    assert found is not None
    assert (found.day, found.mean, found.volume) == (date(2026, 2, 8), 50.0, 0.1)
    assert (min(found.before), found.waiting) == (date(2026, 2, 5), {})


def test_days_with_log_and_live_events_count_both() -> None:
    found = nd.newest_day(WEEK | {"2026-02-08": 110}, ARRIVAL, dict.fromkeys(WEEK, 30) | {"2026-02-08": 40})
    assert found is not None
    assert (found.day, found.events, found.mean) == (date(2026, 2, 8), 110, 100.0)


def test_few_rows_of_the_log_beside_live_events_may_be_a_part() -> None:
    live = dict.fromkeys(WEEK, 20)
    part = nd.newest_day(WEEK | {"2026-02-08": 39 + 20}, ARRIVAL, live | {"2026-02-08": 20})  # less than half of 80
    whole = nd.newest_day(WEEK | {"2026-02-08": 40 + 20}, ARRIVAL, live | {"2026-02-08": 20})
    assert part is not None
    assert whole is not None
    assert (part.day, whole.day) == (date(2026, 2, 7), date(2026, 2, 8))


def test_few_rows_of_the_log_alone_are_a_fall() -> None:
    found = nd.newest_day(WEEK | {"2026-02-08": 5}, ARRIVAL, {"2026-02-01": 20})
    assert found is not None
    assert (found.day, found.volume) == (date(2026, 2, 8), 0.05)


def test_few_rows_of_the_log_are_a_fall_once_it_goes_on() -> None:
    live = {"2026-02-07": 2, "2026-02-08": 2}
    found = nd.newest_day(WEEK | {"2026-02-07": 5, "2026-02-08": 5}, ARRIVAL, live)
    assert found is not None
    assert (found.day, found.events, found.mean) == (date(2026, 2, 7), 5, 100.0)


def test_log_that_ended_a_week_ago_is_no_more_waited_for() -> None:
    live = {"2026-02-06": 60, "2026-02-08": 3}
    found = nd.newest_day({"2026-01-31": 100} | live, ARRIVAL, live)
    assert found is not None
    assert (found.day, found.before) == (date(2026, 2, 8), {date(2026, 2, 6): 60})


def test_age_in_days_never_is_negative() -> None:
    assert nd.age_days(datetime(2026, 2, 7, 13, tzinfo=UTC), ARRIVAL) == 1.5
    assert nd.age_days(datetime(2026, 2, 9, 1, 30, tzinfo=UTC), ARRIVAL) == 0.0


def test_psi_of_the_same_distribution_is_zero() -> None:
    assert nd.psi([30, 70], [3, 7]) == pytest.approx(0)


def test_psi_by_hand() -> None:
    assert nd.psi([50, 50], [75, 25]) == pytest.approx(0.25 * log(1.5) - 0.25 * log(0.5))


def test_psi_of_a_value_that_is_new_is_finite() -> None:
    new = 0.5 * log(0.5 / nd.SMALLEST_SHARE)  # the new value has half of the events
    assert nd.psi([100, 0], [50, 50]) == pytest.approx(-0.5 * log(0.5) + new, rel=1e-3)


def test_psi_by_chance_is_a_quantile_of_chi_squared() -> None:
    assert nd.psi_by_chance(2, 100, 50) == pytest.approx(10.8276 * 0.03, rel=1e-4)  # the table's value for 1 and 0.001


def test_drift_names_what_moved_most() -> None:
    found = nd.drift({"view": (80, 50), "click": (10, 25), "purchase": (10, 25)}, (40, 20))
    assert found is not None
    assert found.moved == ("view", 0.8, 0.5)
    assert found.psi == pytest.approx(-0.3 * log(0.5 / 0.8) + 2 * 0.15 * log(0.25 / 0.1))
    assert found.chance == pytest.approx(nd.psi_by_chance(3, 40, 20))


def test_drift_puts_rare_values_together() -> None:
    found = nd.drift({f"{n:03d}": (1000 - n, 10) for n in range(100)}, (1, 1))
    assert found is not None
    assert found.bins == nd.MOST_BINS + 1


@pytest.mark.parametrize("counts", [{}, {"a": (5, 0), "b": (5, 0)}, {"a": (0, 5), "b": (0, 5)}, {"a": (5, 5)}])
def test_drift_needs_two_values_and_both_sides(counts: dict[str, tuple[int, int]]) -> None:
    assert nd.drift(counts, (5, 5)) is None
