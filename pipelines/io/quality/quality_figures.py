"""The pictures of the data-quality report, as PNG whose bytes depend on the data alone."""

import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

GOOD: Final = "#2a9d5c"
BAD: Final = "#c8553d"
MOST_REASONS: Final = 12
FEW_DAYS: Final = 4
"""So few have their own labels instead of an axis of time."""
_THOUSANDS: Final = FuncFormatter(lambda value, _: f"{value:,.0f}")


def reasons(counts: Mapping[str, int]) -> bytes:
    """Rows in quarantine by reason, the most frequent first."""
    shown = list(counts.items())[:MOST_REASONS][::-1]
    figure, (axis,) = _figure(7.2, 0.7 + 0.32 * max(1, len(shown)), 1)
    bars = axis.barh([_short(name) for name, _ in shown], [rows for _, rows in shown], color=BAD, height=0.65)
    axis.bar_label(bars, [f" {rows:,}" for _, rows in shown], fontsize=9)
    axis.margins(x=0.12)
    axis.grid(axis="y", visible=False)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(_THOUSANDS)
    axis.set(xlabel="rows")
    return _png(figure)


def trends(good: Mapping[str, int], by_day: Mapping[str, tuple[int, int]]) -> bytes:
    """Good events by their day, bad rows and their share by the day of their file.

    Args:
        good: day (YYYY-MM-DD, UTC) → good events.
        by_day: day of the file in the lake → rows, bad rows.
    """
    figure, (left, right) = _figure(7.2, 2.9, 2)
    shown = _every_day(good)
    _days(left, list(shown), list(shown.values()), GOOD)
    left.yaxis.set_major_formatter(_THOUSANDS)
    left.set_title("Good events a day", fontsize=10)
    share = [bad / max(1, rows) for rows, bad in by_day.values()]
    _days(right, list(by_day), share, BAD)
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.set_title("Share of bad rows, by the day of the file", fontsize=10)
    for axis in (left, right):
        axis.set_ylim(0, None)
    return _png(figure)


def _days(axis: Axes, days: Sequence[str], values: Sequence[float], colour: str) -> None:
    """Bars where there are few days, else a line."""
    at: Any = [date.fromisoformat(day) for day in days]
    if len(at) <= FEW_DAYS:
        axis.bar(days, values, color=colour, width=0.5)
        return
    locator = AutoDateLocator(maxticks=6)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    if len(at) <= 45:
        axis.bar(at, values, color=colour)
    else:
        axis.fill_between(at, values, color=colour, alpha=0.35)
        axis.plot(at, values, color=colour, linewidth=1)


def _every_day(events: Mapping[str, int]) -> dict[str, int]:
    """The days from the first to the last, those without events too: an outage shall show."""
    first, last = (date.fromisoformat(pick(events)) if events else None for pick in (min, max))
    if first is None or last is None:
        return {}
    days = ((first + timedelta(days=passed)).isoformat() for passed in range((last - first).days + 1))
    return {day: events.get(day, 0) for day in days}


def _short(name: str) -> str:
    """A label of at most 40 characters in which $ starts no formula."""
    return (name if len(name) <= 40 else name[:39] + "…").replace("$", r"\$")


def _figure(width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes: list[Axes] = figure.subplots(1, columns, squeeze=False)[0].tolist()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8.5)
    return figure, axes


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=170, metadata={"Software": None})
    return written.getvalue()
