"""Up to which moment features are final."""

from datetime import UTC, datetime

from pipelines.core.features import horizon


def test_as_of_is_the_midnight_after_the_last_event_but_not_after_now() -> None:
    last = datetime(2024, 5, 4, 13, tzinfo=UTC)
    assert horizon.as_of(last, datetime(2024, 6, 1, tzinfo=UTC)) == datetime(2024, 5, 5, tzinfo=UTC)
    assert horizon.as_of(last, datetime(2024, 5, 4, 20, tzinfo=UTC)) == datetime(2024, 5, 4, tzinfo=UTC)
