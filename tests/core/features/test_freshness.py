"""How old a view may be and is."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.core.errors import ConfigError
from pipelines.core.features.freshness import Freshness, parse_max_age

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "age"), [("36h", timedelta(hours=36)), ("7d", timedelta(days=7)), ("90m", timedelta(minutes=90))]
)
def test_max_age_is_a_number_and_a_unit(text: str, age: timedelta) -> None:
    assert parse_max_age(text, "v") == age


@pytest.mark.parametrize(
    "text", [None, "", "36", "h", "0h", "-1h", "1.5d", "36 h", " 36h", "36H", "1w", "36h\n", "\uff11h"]
)
def test_max_age_of_another_form_names_the_view_and_the_form(text: str | None) -> None:
    with pytest.raises(ConfigError, match=r"user_activity_v1.*36h"):
        parse_max_age(text, "user_activity_v1")


def test_view_is_fresh_up_to_its_maximum_age() -> None:
    def fresh(hours: float) -> bool:
        return Freshness("v", timedelta(hours=36), NOW - timedelta(hours=hours)).is_fresh(NOW)

    assert [fresh(35.9), fresh(36), fresh(36.1)] == [True, True, False]


def test_view_that_isnt_online_is_stale_and_has_no_age() -> None:
    view = Freshness("v", timedelta(hours=36), None)
    assert not view.is_fresh(NOW)
    assert view.age(NOW) is None
