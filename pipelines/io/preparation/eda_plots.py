"""Plots of what the prepared interactions are and when they happen, from the tables of ``core/lake/exploration``."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.core.columns import EVENT_TYPES
from pipelines.io.plots import COLOURS, THOUSANDS, panels


def interaction_distribution(types: pd.Series, users: pd.DataFrame, items: pd.DataFrame, sample: str = "") -> Figure:
    """Events by type, and how many events a user and an item have.

    Args:
        types: events by type.
        users: columns ``events`` and ``n``, the number of users with so many events.
        items: the same of items.
        sample: which users these are, where they aren't all.
    """
    figure, (left, middle, right) = panels(14, 4.2, 3, "Interactions")
    shown = [name for name in EVENT_TYPES if name in types.index]
    counts = [int(types[name]) for name in shown]
    bars = left.bar([name.replace("_", "\n") for name in shown], counts, color=[COLOURS[name] for name in shown])
    left.bar_label(bars, [f"{count:,}\n{count / sum(counts):.1%}" for count in counts], fontsize=8, padding=2)
    left.margins(y=0.18)
    left.set(title="Events by type", ylabel="events")
    left.yaxis.set_major_formatter(THOUSANDS)
    _activity(middle, users, "user", sample)
    _activity(right, items, "item", "")
    return figure


def _activity(axis: Axes, counts: pd.DataFrame, who: str, sample: str) -> None:
    """A histogram on bins of equal width in the logarithm."""
    edges = np.unique(np.round(np.geomspace(1, counts["events"].max() + 1, 31)))
    edges = edges if len(edges) > 1 else np.array([1.0, 2.0])
    axis.hist(counts["events"], bins=edges.tolist(), weights=counts["n"], color="#5c80bc", edgecolor="white")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(THOUSANDS)
    axis.yaxis.set_major_formatter(THOUSANDS)
    total = counts["n"].sum()
    median = counts["events"].to_numpy()[np.searchsorted(counts["n"].cumsum(), total / 2)]
    axis.axvline(median, color="#c8553d", linestyle="--", label=f"median {median:,.0f}")
    axis.legend(frameon=False)
    axis.set(title=f"Events per {who} ({total:,} {who}s{sample})", xlabel="events (log scale)", ylabel=f"{who}s")


def top_products(items: pd.DataFrame) -> Figure:
    """The most active items (title, events, purchases; most active first)."""
    top = items.iloc[::-1]
    figure, (axis,) = panels(10, 7, 1, f"The {len(top)} most active products")
    labels = [title if len(title) <= 42 else title[:41] + "…" for title in top["title"]]
    at = np.arange(len(top))
    axis.barh(at, top["events"], color="#9db4c0", label="all events")
    axis.barh(at, top["purchases"], color=COLOURS["purchase"], label="purchases", height=0.4)
    axis.set_yticks(at, labels, fontsize=8)
    axis.grid(axis="y", visible=False)
    axis.xaxis.set_major_formatter(THOUSANDS)
    axis.set(xlabel="events")
    axis.legend(loc="lower right", frameon=False)
    return figure


def activity_over_time(hourly: pd.DataFrame) -> Figure:
    """Events a day by type (``hour`` since 1970, ``event_type``, ``events``), with the week's mean of all."""
    daily = hourly.groupby([hourly["hour"] // 24, "event_type"])["events"].sum().unstack(fill_value=0)
    wide = daily.reindex(range(int(daily.index.min()), int(daily.index.max()) + 1), fill_value=0)
    figure, (axis,) = panels(12, 4.5, 1, "Activity over time (days in UTC)")
    shown = [name for name in EVENT_TYPES if name in wide]
    days: Any = pd.to_datetime(wide.index, unit="D")
    axis.stackplot(days, *(wide[name] for name in shown), labels=shown, colors=[COLOURS[name] for name in shown])
    mean = wide.sum(axis=1).rolling(7, center=True, min_periods=1).mean()
    axis.plot(days, mean, color="#333333", linewidth=1.4, label="all, mean of 7 days")
    axis.yaxis.set_major_formatter(THOUSANDS)
    axis.set(ylabel="events a day", xlim=(days[0], days[-1] if len(days) > 1 else None), ylim=(0, None))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=6, frameon=False, fontsize=8)
    return figure


def long_tail(items: pd.DataFrame) -> Figure:
    """Events by popularity rank, and the share of all events that the most popular items have.

    Args:
        items: columns ``events`` and ``n``, the number of items with so many events, ascending.
    """
    figure, (left, right) = panels(12, 4.5, 2, "The long tail")
    events = np.repeat(items["events"].to_numpy()[::-1], items["n"].to_numpy()[::-1])
    rank = np.arange(1, len(events) + 1)
    left.loglog(rank, events, color="#5c80bc", linewidth=2)
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(THOUSANDS)
    left.set(title="Events by rank", xlabel="rank of the item (log scale)", ylabel="events (log scale)")
    share = np.cumsum(events) / events.sum()
    right.plot(rank / len(rank) * 100, share * 100, color="#2a9d5c", linewidth=2)
    fifth = share[max(0, round(len(rank) * 0.2) - 1)] * 100
    right.plot([20, 20, 0], [0, fifth, fifth], color="#c8553d", linestyle="--", linewidth=1)
    right.annotate(f"the top 20 % of items\nhave {fifth:.0f} % of events", (20, fifth), (26, max(5, fifth - 22)))
    right.set(title="Share of the most popular", xlabel="items, most popular first (%)", ylabel="events (%)")
    right.set(xlim=(0, 100), ylim=(0, 101))
    return figure


def hour_by_weekday(hourly: pd.DataFrame) -> Figure:
    """Events by weekday and hour of the day (``hour`` since 1970, ``events``), as the mean of the days of the log."""
    hours = hourly.groupby("hour")["events"].sum()
    since = np.asarray(hours.index)
    table = np.zeros((7, 24))
    np.add.at(table, ((since // 24 + 3) % 7, since % 24), hours.to_numpy())  # 1970 began on a Thursday
    days = np.arange(since.min() // 24, since.max() // 24 + 1)
    table /= np.maximum(np.bincount((days + 3) % 7, minlength=7), 1)[:, None]
    figure, (axis,) = panels(11, 3.8, 1, "The week and the day (hours in UTC)")
    image = axis.imshow(table, aspect="auto", cmap="YlGnBu", vmin=0)
    axis.grid(visible=False)
    axis.set_yticks(range(7), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    axis.set_xticks(range(24), [f"{hour}" for hour in range(24)])
    axis.set(xlabel="hour of the day")
    figure.colorbar(image, label="events, mean of such an hour", format=THOUSANDS)
    return figure
