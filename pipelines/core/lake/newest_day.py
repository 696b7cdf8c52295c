"""What the newest complete day is like against the seven days before it: volume, distribution, age."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri

DAYS_BEFORE: Final = 7
FEWEST_DAYS: Final = 3
"""With fewer of the days before having events there is nothing to compare with."""
MOST_BINS: Final = 24
"""As many as a day has hours; values beyond the most frequent ones of the days before share a bin."""
BY_CHANCE: Final = 0.001
"""How rarely chance alone may make a drift that is told."""
PART: Final = 0.5
"""A day with live events and less of the log than this share of its usual rows may lack the rest of it."""
SMALLEST_SHARE: Final = 1e-4
"""What an empty bin counts as, for its logarithm."""


@dataclass(frozen=True)
class Drift:
    """How far a column's distribution has moved.

    ``psi`` is the population stability index; ``chance`` what it exceeds once in a thousand days on which nothing has
    changed; ``bins`` how many values were told apart; ``moved`` the value whose share changed most, with its share
    before and after.
    """

    psi: float
    chance: float
    bins: int
    moved: tuple[str, float, float]


@dataclass(frozen=True)
class NewestDay:
    """The newest complete day (UTC), its events, and the days among the seven before it that it compares with."""

    day: date
    events: int
    before: Mapping[date, int]
    waiting: Mapping[date, int] = field(default_factory=dict)
    """Later days, which are over, but have live events only so far: they can't tell a late log from a fall."""

    @property
    def mean(self) -> float:
        """Events a day before; only of days that have any, for a shop may be closed on Sundays."""
        return sum(self.before.values()) / len(self.before)

    @property
    def volume(self) -> float:
        """The day's events as a multiple of the mean of the days before."""
        return self.events / self.mean

    @property
    def comparable(self) -> bool:
        """Whether enough of the days before have events."""
        return len(self.before) >= FEWEST_DAYS


def newest_day(days: Mapping[str, int], arrival: datetime, live: Mapping[str, int]) -> NewestDay | None:
    """The newest day that was over on ``arrival``; None where none was.

    Live events are there at once, the log's rows of the same day maybe later, or never again where the shop has
    stopped to write a log. So days that only live events tell of compare with each other, and where there are too few
    of them to compare with, the newest day of the log is the newest complete one.

    Args:
        days: YYYY-MM-DD in UTC → events, wherever they come from.
        live: the same for those that came as live events.
    """
    events = {date.fromisoformat(day): count for day, count in days.items() if count}
    over = sorted(day for day in events if day < arrival.astimezone(UTC).date())
    if not over:
        return None
    alone = _alone({day: (events[day], live.get(day.isoformat(), 0)) for day in over})
    day, others = over[-1], set(events)
    if day in alone:
        others = alone & {*_week_before(day)}
        if len(others) < FEWEST_DAYS and (whole := [day for day in over if day not in alone]):
            day, others = whole[-1], set(events)
    before = {other: events[other] for other in _week_before(day) if other in others}
    return NewestDay(day, events[day], before, {later: events[later] for later in over if later > day})


def _alone(events: Mapping[date, tuple[int, int]]) -> set[date]:
    """The days that live events tell of without the log, which was there in the week before the newest one.

    ``events``: day, ascending → all events, and the live ones among them.
    """
    log = {day: every - live for day, (every, live) in events.items() if every > live}
    newest = max(events)
    if not log or max(log) < _week_before(newest)[0]:
        return set()
    last = max(log)
    alone = {day for day in events if day > last}
    usual = [log[day] for day in _week_before(last) if day in log]
    part = len(usual) >= FEWEST_DAYS and log[last] < PART * sum(usual) / len(usual)
    return alone | {last} if part and events[last][1] else alone


def _week_before(day: date) -> list[date]:
    return [day - timedelta(days=back) for back in range(DAYS_BEFORE, 0, -1)]


def age_days(newest_event: datetime, arrival: datetime) -> float:
    """Days from the newest event to the arrival of the newest file; 0 where it comes from a clock that runs ahead."""
    return max(0.0, (arrival - newest_event) / timedelta(days=1))


def psi(before: ArrayLike, after: ArrayLike) -> float:
    """The population stability index of two histograms on the same bins.

    The sum over the bins of (a − b)·ln(a / b) of their shares: 0 for the same distribution; by the usual rule of thumb
    below 0.1 nothing has changed, and above 0.25 much has (N. Siddiqi, Credit Risk Scorecards, 2006).
    """
    shares = [np.asarray(counts, dtype=np.float64) for counts in (before, after)]
    b, a = (np.maximum(counts / counts.sum(), SMALLEST_SHARE) for counts in shares)
    return float(((a - b) * np.log(a / b)).sum())


def psi_by_chance(bins: int, before: int, after: int) -> float:
    """What the index of two samples of one distribution exceeds with a probability of ``BY_CHANCE``.

    It is distributed as chi squared with ``bins`` - 1 degrees of freedom, times 1 / before + 1 / after, the sizes of
    the samples (B. Yurdakul, Statistical Properties of Population Stability Index, 2018).
    """
    return float(chdtri(bins - 1, BY_CHANCE)) * (1 / before + 1 / after)


def drift(counts: Mapping[str, tuple[int, int]], users: tuple[int, int]) -> Drift | None:
    """The drift of a column; None where a side is empty or has no two values to tell apart.

    Args:
        counts: value → how many events before and after have it.
        users: whose events they are, before and after. They are the samples' sizes: a user's events go together.
    """
    kept = sorted(counts, key=lambda value: (-counts[value][0], value))[:MOST_BINS]
    table = {value: counts[value] for value in kept}
    if rest := [counts[value] for value in counts if value not in table]:
        table["all others"] = (sum(b for b, _ in rest), sum(a for _, a in rest))
    before, after = (sum(column) for column in zip(*table.values(), strict=True)) if table else (0, 0)
    if not before or not after or len(table) < 2:
        return None
    shares = {value: (b / before, a / after) for value, (b, a) in table.items()}
    most = max(shares, key=lambda value: abs(shares[value][1] - shares[value][0]))
    b, a = zip(*table.values(), strict=True)
    return Drift(psi(b, a), psi_by_chance(len(table), *users), len(table), (most, *shares[most]))
