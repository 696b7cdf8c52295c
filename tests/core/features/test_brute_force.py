"""The count event by event, on logs small enough to be counted by hand."""

import pytest

from pipelines.core.features.brute_force import (
    DAY,
    Happened,
    State,
    activity,
    cents,
    nothing,
    profile,
    state_at,
    take_back,
)
from pipelines.core.features.feature_views import VIEWS

HOUR = DAY // 24


def event(kind: str, at: float, item: str = "i", user: str = "u", price: int | None = 500, n: int = 1) -> Happened:
    """An event ``at`` days after 1970, its price in minor units."""
    return Happened(f"{kind}-{at}-{item}", user, item, kind, round(at * DAY), n, "c", price)


def back(at: float, n: int, item: str = "i") -> Happened:
    return Happened(f"back-{at}", "u", item, "cancellation", round(at * DAY), n)


def test_activity_of_a_window_holds_whole_days_before_the_midnight() -> None:
    events = [event("view", at) for at in (1.0, 1.999, 2.5, 8.0)]
    counts = {t: activity("user_activity_v1", events, t * DAY) for t in (2, 3, 8, 9, 32)}
    found = {t: [row[f"views_{w}"] for w in ("1d", "7d", "30d", "all")] for t, row in counts.items() if row}
    assert found == {2: [2, 2, 2, 2], 3: [1, 3, 3, 3], 8: [0, 3, 3, 3], 9: [1, 2, 4, 4], 32: [0, 0, 2, 4]}


def test_activity_before_the_first_event_is_no_row() -> None:
    assert activity("user_activity_v2", [event("view", 1.5)], 1 * DAY) is None


def test_activity_of_the_first_version_counts_purchases_as_made_and_no_removals() -> None:
    bought = event("purchase", 1.5, n=2)
    take_back([bought], [back(2.5, 2)])
    found = activity("user_activity_v1", [bought, event("remove_from_cart", 3.5)], 4 * DAY)
    assert found is not None
    assert (found["purchases_all"], found["spend_all"], found["mean_price_all"]) == (1, 1000, 500.0)
    assert found["last_event_epoch_s"] == 3.5 * 86_400
    assert "removals_all" not in found


def test_cancellation_counts_from_the_midnight_after_it_while_the_purchase_is_in_the_window() -> None:
    bought = event("purchase", 1.5, n=3)
    take_back([bought], [back(4.5, 1), back(5.5, 2)])

    def net(t: int) -> list[int]:
        found = activity("user_activity_v2", [bought, event("view", 0.5)], t * DAY)
        assert found is not None
        return [found[name] for name in ("purchases_7d", "spend_7d", "purchases_all", "spend_all")]

    assert net(2) == [1, 1500, 1, 1500]
    assert net(5) == [1, 1000, 1, 1000]  # one of three pieces
    assert net(6) == [0, 0, 0, 0]  # the rest
    assert net(9) == [0, 0, 0, 0]  # it left the window, nothing twice


def test_last_purchase_stays_when_it_is_cancelled() -> None:
    bought = event("purchase", 1.5)
    take_back([bought], [back(2.5, 1)])
    found = activity("user_activity_v2", [bought], 4 * DAY)
    assert found is not None
    assert (found["purchases_all"], found["last_purchase_epoch_s"]) == (0, 1.5 * 86_400)


def test_last_purchase_is_null_before_the_first() -> None:
    found = activity("item_activity_v2", [event("view", 1.5)], 2 * DAY)
    assert found is not None
    assert found["last_purchase_epoch_s"] is None


def test_take_back_starts_with_the_latest_purchase_and_knows_no_later_one() -> None:
    first, second, later = event("purchase", 1.5, n=2), event("purchase", 2.5, n=2), event("purchase", 9.5, n=2)
    other = event("purchase", 3.0, item="j", n=9)
    take_back([later, second, other, first], [back(5.5, 3)])
    at = round(5.5 * DAY)
    assert (first.taken_back, second.taken_back) == ([(at, 1)], [(at, 2)])
    assert (later.taken_back, other.taken_back) == ([], [])


def test_take_back_of_more_than_was_bought_takes_what_there_is() -> None:
    bought = event("purchase", 1.5, n=2)
    take_back([bought], [back(1.5, 1), back(5.5, 7)])
    assert [pieces for _, pieces in bought.taken_back] == [1, 1]


def test_activity_prices_and_distinct_items_by_window() -> None:
    events = [event("view", 1.5, "a", price=100), event("click", 20.5, "b", price=None), event("view", 20.5, "a")]
    found = activity("user_activity_v2", events, 31 * DAY)
    assert found is not None
    assert (found["mean_price_30d"], found["mean_price_all"], found["priced_all"]) == (300.0, 300.0, 2)
    later = activity("user_activity_v2", events, 32 * DAY)
    assert later is not None
    assert (later["mean_price_30d"], later["mean_price_all"]) == (500.0, 300.0)
    assert [later[f"distinct_items_{w}"] for w in ("7d", "30d", "all")] == [0, 2, 2]


def test_activity_mean_price_without_prices_is_null() -> None:
    found = activity("user_activity_v2", [event("view", 1.5, price=None)], 2 * DAY)
    assert found is not None
    assert found["mean_price_all"] is None


def test_activity_rates_are_smoothed() -> None:
    kinds = ["view"] * 3 + ["click"] * 2 + ["add_to_cart"] * 2 + ["purchase", "remove_from_cart"]
    found = activity("item_activity_v2", [event(kind, 1.5 + i / 100) for i, kind in enumerate(kinds)], 10 * DAY)
    assert found is not None
    assert found["cart_rate_30d"] == 3 / 25
    assert found["conversion_30d"] == 2 / 25
    assert found["trend_7d_30d"] == (0 / 7 + 0.1) / (8 / 30 + 0.1)


def test_recent_items_are_different_ones_the_latest_first_by_time_and_event_id() -> None:
    events = [event("view", 1 + i / 100, f"i{i:02}") for i in range(25)] + [event("view", 1.9, "i03")]
    together = [Happened(name, "u", item, "view", round(1.95 * DAY), 1) for name, item in (("x", "a"), ("y", "b"))]
    found = activity("user_recent_items_v1", [*together, *events], 2 * DAY)
    assert found is not None
    assert found["recent_items"] == ["b", "a", "i03", *(f"i{i:02}" for i in range(24, 7, -1))]


def test_cents_round_halves_up() -> None:
    assert [cents(price) for price in (0.125, 0.29, 19.99, 0.0, None)] == [13, 29, 1999, 0, None]


def test_state_before_the_first_is_the_first() -> None:
    states = [State(10, {"price": 1.0}), State(20, {"price": 2.0})]
    found = [state_at(states, at) for at in (5, 10, 19, 20)]
    assert [state and state.values["price"] for state in found] == [1.0, 1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("first", "since"),
    [(2 * DAY + HOUR, 2), (9 * DAY, 5), (None, 5)],
    ids=["an event before the first state", "an event after it", "no event"],
)
def test_profile_counts_from_the_first_event_or_its_own_day(first: int | None, since: int) -> None:
    states = [State(5 * DAY + HOUR, {"price": 1.0}), State(7 * DAY + HOUR, {"price": 2.0})]
    assert profile(states, first, 20 * DAY, since * DAY - 1) is None
    found = profile(states, first, 20 * DAY, since * DAY)
    assert found is not None
    assert (found["price"], found["first_seen_epoch_s"]) == (1.0, since * 86_400)
    changed = profile(states, first, 20 * DAY, 7 * DAY + HOUR)
    assert changed is not None
    assert (changed["price"], changed["first_seen_epoch_s"]) == (2.0, since * 86_400)


def test_profile_fetched_after_the_log_counts_from_its_end_and_knows_no_later_state() -> None:
    states = [State(50 * DAY, {"price": 1.0}), State(51 * DAY, {"price": 2.0})]
    found = profile(states, None, 20 * DAY, 99 * DAY)
    assert found is not None
    assert (found["price"], found["first_seen_epoch_s"]) == (1.0, 20 * 86_400)


def test_nothing_left_is_zeros_and_nulls() -> None:
    for view in VIEWS:
        left = {name: value for name, value in nothing(view).items() if value}
        assert set(left) <= {"cart_rate_30d", "conversion_30d", "trend_7d_30d"}
