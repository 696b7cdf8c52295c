"""Aggregates behind the plots, counted by hand."""

import pytest

from pipelines.core.columns import PREPARED_SCHEMA
from pipelines.core.lake import exploration
from tests.core.engine import Tables, event

WEEK = 7 * 86_400
LOG = [
    event(0, "u", "a", session_id="s1"),
    event(30, "u", "b", "add_to_cart", session_id="s1"),
    event(90, "u", "b", "purchase", session_id="s1"),
    event(WEEK, "u", "a", session_id="s2"),
    event(0, "v", "a", session_id="s3"),
    event(300, "v", "a", "purchase", session_id="s3"),
]


@pytest.fixture
def tables() -> Tables:
    return Tables()


def test_hours_count_from_1970(tables: Tables) -> None:
    found = tables.rows(exploration.hourly(tables.known("prepared", LOG, PREPARED_SCHEMA)))
    first = found[0]["hour"]
    assert first * 3600 == LOG[0]["timestamp"].timestamp()
    counts = {(row["hour"] - first, row["event_type"]): row["events"] for row in found}
    assert counts == {(0, "view"): 2, (0, "add_to_cart"): 1, (0, "purchase"): 2, (WEEK // 3600, "view"): 1}


def test_funnel_counts_those_who_did_every_step_so_far(tables: Tables) -> None:
    prepared = tables.known("prepared", LOG, PREPARED_SCHEMA)
    (row,) = tables.rows(exploration.funnel(exploration.sessions(prepared)))
    assert (row["all"], row["viewed"], row["carted"], row["bought"], row["any_bought"]) == (3, 3, 1, 1, 2)


def test_lengths_are_classes_of_minutes(tables: Tables) -> None:
    prepared = tables.known("prepared", LOG, PREPARED_SCHEMA)
    found = {row["minutes"]: row["n"] for row in tables.rows(exploration.lengths(exploration.sessions(prepared)))}
    assert found == {0: 1, 2: 1, 4: 1}  # one moment; 90 s, from 1 minute on; 300 s, from 5 minutes on


def test_retention_follows_those_who_came_together(tables: Tables) -> None:
    periods = exploration.user_periods(tables.known("prepared", LOG, PREPARED_SCHEMA), "week")
    tables.engine.keep("periods", periods)
    kept = tables.engine.run(periods)
    known = tables.known("periods_again", kept.to_pylist(), periods.schema())
    found = tables.rows(exploration.retention(known, exploration.users(known)))
    assert [(row["later"], row["users"]) for row in found] == [(0, 2), (1, 1)]


def test_gaps_are_whole_days_between_a_users_sessions(tables: Tables) -> None:
    sessions = exploration.sessions(tables.known("prepared", LOG, PREPARED_SCHEMA))
    assert tables.rows(exploration.gaps(sessions)) == [{"days": 7, "n": 1}]


def test_occupancy_sorts_the_most_active_into_the_first_bin(tables: Tables) -> None:
    prepared = tables.known("prepared", LOG, PREPARED_SCHEMA)
    found = tables.rows(exploration.occupancy(exploration.pairs(prepared), exploration.items(prepared), 2))
    cells = {(row["user_bin"], row["item_bin"]): row["pairs"] for row in found}
    assert cells == {(0, 0): 1, (0, 1): 1, (1, 0): 1}  # u has a and b, v has a


def test_sample_takes_whole_users(tables: Tables) -> None:
    log = [event(n, f"u{n % 200}") for n in range(600)]
    sample = tables.rows(exploration.of_one_in(tables.known("prepared", log, PREPARED_SCHEMA), 4))
    users = {row["user_id"] for row in sample}
    assert 25 < len(users) < 80
    assert len(sample) == 3 * len(users)
