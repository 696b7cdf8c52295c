from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.models import signals
from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import Interactions
from pipelines.core.models.past import Catalogue, Past

DAY = 86_400.0
NOW = 1000.0


def past(*rows: tuple[int, int, float]) -> Past:
    """Three users and three items of prices 1, 2 and unknown; (user, item, days ago), the oldest first."""
    user, item, ago = (np.array(column) for column in zip(*rows, strict=True))
    ids = (np.array(["a", "b", "c"]), np.array(["x", "y", "z"]))
    arrays = (user.astype(np.int32), item.astype(np.int32), np.ones(len(rows), np.float32), (NOW - ago) * DAY)
    catalogue = replace(Catalogue.unknown(3), price=np.array([1.0, 2.0, np.nan]))
    return Past(Interactions(*ids, *arrays), NOW * DAY, catalogue, seed=7)


LOG = past((0, 0, 40.0), (1, 0, 15.0), (0, 0, 9.0), (0, 1, 8.0), (1, 1, 2.0), (1, 1, 0.5))


def item(name: str, of: Past = LOG) -> list[float]:
    return signals.fit(of, window_days=10)["items"][:, signals.ITEM.index(name)].tolist()


def pair(name: str, user: int, item_idx: int) -> float:
    arrays = signals.fit(LOG, window_days=10)
    one = np.array([0]), np.array([item_idx])
    found = signals.of(arrays, LOG.histories.take(np.array([user])), *one)
    return float(found[0, signals.NAMES.index(name)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("item_users_tenth", [0, 1, 0]),
        ("item_users_one", [1, 2, 0]),  # user a once, though twice in all
        ("item_users_three", [2, 2, 0]),
        ("item_users_all", [2, 2, 0]),
        ("item_repeats", [1.0, 1.5, 0.0]),
        ("item_new_users_one", [0, 2, 0]),  # user a had met x before
    ],
)
def test_item_signal_counts_users_of_a_window(name: str, expected: list[float]) -> None:
    assert item(name) == expected


def test_item_trend_compares_users_a_day() -> None:
    assert item("item_trend_one_three")[0] == pytest.approx((1.5 / 1) / (2.5 / 3))


def test_item_ages_count_from_the_first_and_the_last_event() -> None:
    assert item("item_known_days")[:2] == [40.0, 8.0]
    assert item("item_rest_days")[:2] == [9.0, 0.5]
    assert np.isnan(item("item_rest_days")[2])


def test_item_season_is_unknown_to_a_log_of_less_than_a_year() -> None:
    assert np.isnan(item("item_users_last_year")).all()


def test_item_season_is_the_coming_window_a_year_ago() -> None:
    year = past((0, 2, 400.0), (0, 0, 364.0), (1, 0, 356.0), (1, 1, 354.0))
    assert item("item_users_last_year", year) == [2.0, 0.0, 0.0]


def test_user_signals_come_from_the_history() -> None:
    assert pair("user_items", 0, 2) == 2
    assert pair("user_items_one", 0, 2) == 2
    assert pair("user_rest_days", 0, 2) == 8.0
    assert pair("user_mean_price", 0, 2) == 1.5
    assert pair("user_mean_popularity", 0, 2) == pytest.approx(np.log(3))


def test_user_signals_of_nobody_are_missing() -> None:
    assert np.isnan(pair("user_items", -1, 0))
    assert np.isnan(pair("user_mean_price", 2, 0))


def test_pair_signals_tell_what_the_user_had() -> None:
    assert pair("had_days_ago", 1, 1) == 0.5
    assert pair("had_weight", 1, 1) == 2.0
    assert np.isnan(pair("had_weight", 1, 2))


def test_price_is_compared_with_what_the_user_usually_meets() -> None:
    assert pair("price_against_user_mean", 0, 1) == pytest.approx(np.log(2.01 / 1.51))
    assert np.isnan(pair("price_against_user_mean", 0, 2))


def test_signals_of_a_history_that_came_after_the_fit() -> None:
    new = Histories(np.array([0, 1]), np.array([1], np.int32), *np.array([[3.0], [1.0]], np.float32))
    found = signals.of(signals.fit(LOG, window_days=10), new, np.array([0]), np.array([0]))
    assert found[0, signals.NAMES.index("user_rest_days")] == 3.0
