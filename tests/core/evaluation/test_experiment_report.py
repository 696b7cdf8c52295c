"""Expected figures are worked out by hand, or are those of the papers."""

import math

import numpy as np
import pytest

from pipelines.core.evaluation import experiment_report
from pipelines.core.evaluation.experiment_report import Exposures


def arm(*rows: tuple[str, float, int, int]) -> Exposures:
    """From (user, propensity, shown, converted)."""
    user, propensity, shown, converted = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Exposures(np.array(user), np.array(propensity, float), np.array(shown, int), np.array(converted, int))


def many(users: int, converted: int, propensity: float = 0.5, prefix: str = "u") -> Exposures:
    return arm(*((f"{prefix}{n}", propensity, 1, int(n < converted)) for n in range(users)))


def test_wilson_interval_is_the_known_one() -> None:
    found = experiment_report.wilson(10, 100)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (0.1, 0.0552, 0.1744)
    assert experiment_report.wilson(0, 10).low == 0.0
    assert experiment_report.wilson(10, 10).high == pytest.approx(1.0)


def test_difference_has_newcombes_interval_and_the_z_tests_p() -> None:
    """Newcombe 1998, table II, example (a), method 10. z = .2 / sqrt(104/150 · 46/150 · (1/70 + 1/80)) = 2.650."""
    found = experiment_report.difference((56, 70), (48, 80))
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)
    assert found.p == pytest.approx(0.00804, abs=2e-5)


def test_difference_of_what_never_converts_is_none() -> None:
    found = experiment_report.difference((0, 10), (0, 20))
    assert (found.value, found.p) == (0.0, 1.0)


def test_snips_weighs_by_the_inverse_propensity_and_counts_users_whole() -> None:
    """Weights 2, 4, 4: (2·1 + 4·1 + 4·0) / (2·2 + 4·1 + 4·2) = 6/16. Residuals of users: 2 - .375·4 = .5,
    4 - .375·4 = 2.5, 0 - .375·8 = -3; error sqrt((.25 + 6.25 + 9) · 3/2) / 16 = .30136."""
    found = experiment_report.snips(arm(("a", 0.5, 2, 1), ("b", 0.25, 1, 1), ("c", 0.25, 2, 0)))
    assert found.value == 0.375
    assert found.high == pytest.approx(0.375 + experiment_report.Z * 0.301363, abs=1e-5)
    assert found.low == 0.0


def test_snips_of_a_ramp_up_is_not_drawn_to_the_time_of_the_larger_share() -> None:
    """10 % of the users while 20 of 100 converted, 50 % while 50 of 500 did: all of 1,000 users a time had 15 %."""
    early = [(f"e{n}", 0.1, 1, int(n < 20)) for n in range(100)]
    late = [(f"l{n}", 0.5, 1, int(n < 50)) for n in range(500)]
    assert experiment_report.snips(arm(*early, *late)).value == pytest.approx(0.15)


def test_snips_of_a_user_with_two_rows_is_that_of_one_user() -> None:
    two = experiment_report.snips(arm(("a", 0.5, 1, 1), ("a", 0.5, 1, 0), ("b", 0.5, 2, 0)))
    one = experiment_report.snips(arm(("a", 0.5, 2, 1), ("b", 0.5, 2, 0)))
    assert two == one


def test_snips_of_one_user_is_sure_of_nothing() -> None:
    found = experiment_report.snips(arm(("a", 0.5, 4, 1)))
    assert (found.value, found.low, found.high) == (0.25, 0.0, 1.0)


def test_report_compares_each_arm_with_the_first() -> None:
    control, new = experiment_report.report([many(80, 48), many(70, 56, prefix="v")])
    assert (control.users, control.converted_users, control.conversions, control.exposures) == (80, 48, 48, 80)
    assert control.difference is None
    assert new.difference == experiment_report.difference((56, 70), (48, 80))
    assert new.rate == experiment_report.wilson(56, 70)


def test_report_counts_a_user_once_however_often_it_converts() -> None:
    (only,) = experiment_report.report([arm(("a", 0.5, 3, 2), ("a", 0.25, 1, 1), ("b", 0.5, 1, 0))])
    assert (only.exposures, only.users, only.conversions, only.converted_users) == (5, 2, 3, 1)
    assert only.rate is not None
    assert only.rate.value == 0.5


def test_report_of_an_arm_without_users_has_no_figures() -> None:
    control, empty = experiment_report.report([many(10, 1), arm()])
    assert (empty.exposures, empty.users, empty.rate, empty.difference, empty.snips) == (0, 0, None, None, None)
    assert experiment_report.report([arm(), many(10, 1)])[1].difference is None
    assert control.snips is not None


def test_mismatch_of_users_and_weights_is_found() -> None:
    """60 and 40 where 50 each are expected: chi-square 4 with one degree of freedom, p = erfc(2 / √2) = .0455."""
    assert experiment_report.mismatch([many(60, 0), many(40, 0)]) == pytest.approx(math.erfc(2 / math.sqrt(2)))
    assert experiment_report.mismatch([many(90, 0, 0.9), many(10, 0, 0.1)]) == pytest.approx(1.0)


def test_mismatch_is_not_told_where_weights_changed_or_users_are_few() -> None:
    changed = arm(("a", 0.5, 1, 0), ("b", 0.25, 1, 0))
    assert experiment_report.mismatch([many(60, 0), changed]) is None
    assert experiment_report.mismatch([many(4, 0), many(4, 0)]) is None
    assert experiment_report.mismatch([many(60, 0)]) is None


def test_users_in_several_arms_are_counted() -> None:
    assert experiment_report.in_several([many(10, 0), many(3, 0), many(5, 0, prefix="v")]) == 3
    assert experiment_report.in_several([]) == 0
