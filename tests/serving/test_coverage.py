from serving.coverage import WINDOW_S, Coverage


def test_coverage_is_the_share_of_items_within_the_last_hour() -> None:
    now = 100.0
    coverage = Coverage(lambda: now)
    coverage.shown(1, 10, [0, 1])
    now += WINDOW_S - 1
    coverage.shown(1, 10, [1, 2])
    assert list(coverage.ratios()) == [(1, 0.3)]
    now += 2
    assert list(coverage.ratios()) == [(1, 0.2)]


def test_version_that_answers_no_more_is_forgotten() -> None:
    now = 0.0
    coverage = Coverage(lambda: now)
    coverage.shown(1, 10, [0])
    now += WINDOW_S + 1
    coverage.shown(2, 4, [3])
    assert list(coverage.ratios()) == [(2, 0.25)]
    assert list(coverage._last) == [2]
