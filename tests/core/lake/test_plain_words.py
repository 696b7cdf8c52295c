"""Results of checks in sentences."""

from typing import Any

import pytest

from pipelines.core.lake import plain_words
from pipelines.core.lake.glossary import MEANINGS, meaning
from pipelines.core.lake.validation import BROKEN, OWN_REASONS

SUMMARY = {"rows": 1000, "good": 990}


def _result(column: str, found: Any, **given: Any) -> dict[str, Any]:
    kwargs = {"column": column} | given.pop("kwargs", {"max_value": 0.25})
    return {"kwargs": kwargs, "result": found, "success": True, "severity": "warn"} | given


def test_verdict_of_clean_data() -> None:
    expected = "The data can be used: 99.0 % of 1,000 rows are good, and no check failed."
    assert plain_words.verdict(SUMMARY, 0, 0) == expected


def test_verdict_tells_warnings_and_failures() -> None:
    assert plain_words.verdict(SUMMARY, 0, 2).endswith("; 2 checks should be looked at.")
    assert plain_words.verdict(SUMMARY, 1, 2).startswith("The data must not be used:")
    assert plain_words.verdict(SUMMARY, 1, 2).endswith("and 1 check that must hold failed.")


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(1, 8, "12.5 %"), (0, 8, "0.0 %"), (8, 8, "100.0 %"), (1, 10_000, "under 0.1 %"), (9_999, 10_000, "over 99.9 %")],
)
def test_percent_hides_nothing(part: int, whole: int, words: str) -> None:
    assert plain_words.percent(part, whole) == words


def test_measure_of_drift_says_what_moved() -> None:
    details = {"details": {"day": "2026-02-08", "moved": ["mobile", 0.5, 0.9]}}
    found = plain_words.measure(_result("drift_device", {"observed_value": 0.88} | details, success=False))
    assert (found.name, found.value, found.allowed, found.state) == (
        "drift of devices",
        "0.880",
        "at most 0.25",
        "warned",
    )
    assert found.words == "Very different. Most moved “mobile”: from 50.0 % to 90.0 % of the events."


def test_measure_of_volume_names_the_day() -> None:
    details = {"details": {"day": "2026-02-08", "events": 50, "mean_before": 1000.0, "waiting": {}}}
    given = {"kwargs": {"min_value": 0.1, "max_value": 10}, "success": False, "severity": "stop"}
    found = plain_words.measure(_result("volume", {"observed_value": 0.05} | details, **given))
    assert (found.value, found.allowed, found.sign) == ("0.05 times", "0.1 to 10 times", "✗ failed")
    assert found.words == "2026-02-08 has 50 events; the days of the week before had 1,000 on average."


def test_measure_of_volume_names_days_that_wait_for_the_log() -> None:
    waiting = {"2026-02-08": 3, "2026-02-09": 1000}
    details = {"details": {"day": "2026-02-07", "events": 50, "mean_before": 50.0, "waiting": waiting}}
    given = {"kwargs": {"min_value": 0.1, "max_value": 10}}
    words = plain_words.measure(_result("volume", {"observed_value": 1.0} | details, **given)).words
    assert words.endswith("Not judged yet, for the log has no or few rows of it: 2026-02-08 (3), 2026-02-09 (1,000).")


def test_measure_of_freshness_is_in_hours_or_days() -> None:
    words = [plain_words.measure(_result("age_days", {"observed_value": age})).value for age in (0.5, 2.25)]
    assert words == ["12.0 hours", "2.2 days"]


def test_measure_that_is_not_judged_says_why() -> None:
    found = plain_words.measure(_result("volume", {"observed_value": None, "not_judged": "no day was over"}))
    assert (found.state, found.words) == ("skipped", "Not judged: no day was over.")


def test_glossary_explains_every_reason_of_validation() -> None:
    assert set(MEANINGS) == {BROKEN, *OWN_REASONS}


def test_glossary_takes_any_other_reason_for_a_filter() -> None:
    assert "filter" in meaning("not a product")[0]
