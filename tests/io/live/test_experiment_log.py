"""Which events speak for which recommendation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from pipelines.core.lists.logged import Logged
from pipelines.io.live import experiment_log, live_log, recommendation_log
from pipelines.settings import Settings

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(hours=24)


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        recommendation_log.create(connection)
        live_log.create(connection)
        yield connection


class Shop:
    """Writes what was shown and what was done, by the hour."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.n = 0

    def shown(
        self,
        hour: float,
        user: str,
        items: str,
        arm: str | None = "a",
        propensity: float = 0.5,
        version: int = 1,
        shadow_of: int | None = None,
    ) -> int:
        self.n += 1
        row = Logged(
            id=UUID(int=self.n),
            at=START + timedelta(hours=hour),
            user_id=user,
            model_version=version,
            feature_service="ranker_v1",
            experiment=arm and "spring",
            arm=arm,
            propensity=propensity,
            strategy="personalized",
            degraded=[],
            query={"k": 2},
            items=[{"item_id": item, "score": 1.0, "source": "svd", "reason": "x"} for item in items.split()],
            feature_as_of=None,
            feature_ages={},
            shadow_of=UUID(int=shadow_of) if shadow_of else None,
        )
        recommendation_log.write(self.connection, [row])
        return self.n

    def did(self, hour: float, user: str, item: str, event_type: str = "click") -> None:
        self.n += 1
        self.connection.execute(
            "INSERT INTO live.events (event_id, user_id, item_id, event_type, ts, quantity) "
            "VALUES (%s, %s, %s, %s, %s, 1)",
            [f"e{self.n}", user, item, event_type, START + timedelta(hours=hour)],
        )

    def found(self, since: datetime = START) -> dict[str, list[tuple[str, float, int, int]]]:
        """Arm -> (user, propensity, shown, converted)."""
        arms = experiment_log.arms(self.connection, "spring", since, DAY)
        return {arm.name: _rows(arm.exposures) for arm in arms}


def _rows(e: experiment_log.Exposures) -> list[tuple[str, float, int, int]]:
    return list(zip(e.user.tolist(), e.propensity.tolist(), e.shown.tolist(), e.converted.tolist(), strict=True))


@pytest.fixture
def shop(connection: psycopg.Connection) -> Shop:
    return Shop(connection)


def test_event_on_a_shown_item_converts_its_recommendation(shop: Shop) -> None:
    shop.shown(0, "u1", "P1 P2")
    shop.shown(0, "u2", "P1 P2")
    shop.did(1, "u1", "P2")
    assert shop.found() == {"a": [("u1", 0.5, 1, 1), ("u2", 0.5, 1, 0)]}


@pytest.mark.parametrize(
    ("hour", "user", "item", "event_type"),
    [
        (-0.1, "u1", "P1", "click"),  # before it was shown
        (24, "u1", "P1", "click"),  # too late
        (1, "u1", "P3", "click"),  # another item
        (1, "u2", "P1", "click"),  # another user
        (1, "u1", "P1", "view"),  # no conversion
    ],
)
def test_other_events_convert_nothing(shop: Shop, hour: float, user: str, item: str, event_type: str) -> None:
    shop.shown(0, "u1", "P1 P2")
    shop.did(hour, user, item, event_type)
    assert shop.found() == {"a": [("u1", 0.5, 1, 0)]}


def test_event_speaks_for_the_newest_recommendation_alone(shop: Shop) -> None:
    shop.shown(0, "u1", "P1 P2")
    shop.shown(1, "u1", "P1 P3", arm="b")
    shop.shown(2, "u1", "P3 P4")
    shop.did(3, "u1", "P1")
    assert shop.found() == {"a": [("u1", 0.5, 2, 0)], "b": [("u1", 0.5, 1, 1)]}


def test_event_that_a_recommendation_outside_the_experiment_led_to_speaks_for_none_in_it(shop: Shop) -> None:
    shop.shown(0, "u1", "P1")
    shop.shown(1, "u1", "P1", arm=None)
    shop.did(2, "u1", "P1")
    assert shop.found() == {"a": [("u1", 0.5, 1, 0)]}


def test_recommendation_converts_once_by_events_of_all_types(shop: Shop) -> None:
    shop.shown(0, "u1", "P1 P2")
    for event_type in ("click", "click", "purchase"):
        shop.did(1, "u1", "P1", event_type)
    (arm,) = experiment_log.arms(shop.connection, "spring", START, DAY)
    assert _rows(arm.exposures) == [("u1", 0.5, 1, 1)]
    assert arm.by_type == {"click": 1, "add_to_cart": 0, "purchase": 1}


def test_exposures_are_told_by_propensity_and_with_the_models_that_answered(shop: Shop) -> None:
    shop.shown(0, "u1", "P1", propensity=0.1, version=3)
    shop.shown(1, "u1", "P1", propensity=0.5, version=4)
    (arm,) = experiment_log.arms(shop.connection, "spring", START, DAY)
    assert _rows(arm.exposures) == [("u1", 0.1, 1, 0), ("u1", 0.5, 1, 0)]
    assert arm.versions == (3, 4)


def test_shadow_is_no_exposure_but_compared_with_what_was_shown(shop: Shop) -> None:
    one, two = shop.shown(0, "u1", "P1 P2"), shop.shown(0, "u2", "P1 P2")
    shop.shown(0, "u1", "P2 P9", arm=None, version=7, shadow_of=one)
    shop.shown(0, "u2", "P2 P1", arm=None, version=7, shadow_of=two)
    shop.did(1, "u1", "P9")
    assert shop.found() == {"a": [("u1", 0.5, 1, 0), ("u2", 0.5, 1, 0)]}
    assert experiment_log.shadows(shop.connection, START) == [experiment_log.Shadowed(7, 2, 0.75)]


def test_only_what_was_shown_since_then_counts(shop: Shop) -> None:
    shop.shown(-2, "u1", "P1")
    shop.did(1, "u1", "P1")
    assert experiment_log.experiments(shop.connection, START) == []
    assert experiment_log.experiments(shop.connection, START - DAY) == ["spring"]
    assert shop.found() == {}


def test_experiments_without_any_events_are_reported(settings: Settings) -> None:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        assert experiment_log.experiments(connection, START) == []
        assert experiment_log.shadows(connection, START) == []
        recommendation_log.create(connection)
        shop = Shop(connection)
        shop.shown(0, "u1", "P1")
        assert shop.found() == {"a": [("u1", 0.5, 1, 0)]}
