"""What a materialization must do next."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.core.features.online_plan import EVERYTHING, Job, Offline, State, plan

T = datetime(2024, 3, 10, tzinfo=UTC)
LATER = datetime(2024, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
OFFLINE = Offline(load=3, made=1, as_of=T)
DONE = State("token", load=3, watermark=T)


def test_plan_of_a_view_that_was_never_online_is_everything() -> None:
    assert plan(None, OFFLINE, None, LATER) == Job(3, T, full=True)


def test_plan_is_nothing_where_all_is_online() -> None:
    assert plan(DONE, OFFLINE, "token", LATER) is None


def test_plan_takes_what_is_stamped_after_the_watermark() -> None:
    job = plan(DONE, replace(OFFLINE, load=4, as_of=T + DAY, oldest=T + DAY), "token", LATER)
    assert job == Job(4, T + DAY, full=False, stamped=T + timedelta(microseconds=1))


def test_plan_takes_new_files_of_old_stamps_and_corrections() -> None:
    built = T + 2 * DAY
    job = plan(DONE, replace(OFFLINE, load=4, oldest=T - DAY, created=built), "token", LATER)
    assert job == Job(4, T, full=False, stamped=T - DAY, created=built)


def test_plan_ends_now_at_the_latest() -> None:
    job = plan(None, replace(OFFLINE, as_of=LATER), None, T)
    assert job is not None
    assert job.end == T


def test_plan_of_an_emptied_store_is_everything_and_live_rows_stay() -> None:
    assert plan(DONE, OFFLINE, None, LATER) == Job(3, T, full=True)


def test_plan_of_another_databases_store_begins_with_nothing() -> None:
    assert plan(DONE, OFFLINE, "another", LATER) == Job(3, T, full=True, forget=EVERYTHING)
    assert plan(None, OFFLINE, "another", LATER) == Job(3, T, full=True, forget=EVERYTHING)


def test_plan_of_a_replaced_table_forgets_what_was_materialized_and_keeps_what_was_pushed_since() -> None:
    offline = Offline(load=4, made=4, as_of=T + DAY)
    assert plan(DONE, offline, "token", LATER) == Job(4, T + DAY, full=True, forget=T)


def test_plan_back_in_time_begins_with_nothing() -> None:
    offline = Offline(load=4, made=4, as_of=T - DAY)
    assert plan(DONE, offline, "token", LATER) == Job(4, T - DAY, full=True, forget=EVERYTHING)


@pytest.mark.parametrize("full", [True, False])
def test_plan_goes_on_with_what_was_under_way(full: bool) -> None:
    job = Job(4, T + DAY, full=full, last=("u7",))
    assert plan(replace(DONE, job=job), replace(OFFLINE, load=5), "token", LATER) == job


def test_plan_drops_what_was_under_way_on_a_table_that_was_replaced() -> None:
    job = Job(4, T, full=True, last=("u7",))
    found = plan(replace(DONE, job=job), Offline(load=5, made=5, as_of=T), "token", LATER)
    assert found == Job(5, T, full=True, forget=T)


def test_plan_drops_what_was_under_way_in_a_store_that_was_emptied() -> None:
    job = Job(3, T, full=True, last=("u7",))
    assert plan(State("token", job=job), OFFLINE, None, LATER) == Job(3, T, full=True)


def test_plan_of_everything_on_demand_isnt_satisfied_by_changes_under_way() -> None:
    job = Job(3, T, full=False, last=("u7",))
    assert plan(replace(DONE, job=job), OFFLINE, "token", LATER, full=True) == Job(3, T, full=True)
    assert plan(DONE, OFFLINE, "token", LATER, full=True) == Job(3, T, full=True)
