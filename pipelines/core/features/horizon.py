"""Up to which moment features are final."""

from datetime import UTC, datetime, time, timedelta


def as_of(last_event: datetime, now: datetime) -> datetime:
    """The newest midnight (UTC) whose features are final: after the day of ``last_event``, but never after ``now``."""
    return min(_midnight(last_event) + timedelta(days=1), _midnight(now))


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), time(), tzinfo=UTC)
