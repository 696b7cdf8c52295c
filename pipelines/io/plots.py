"""Plots of the prepared data and of the evaluation as PNG files whose bytes depend on the data alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.core.columns import EVENT_TYPES
from pipelines.io import files

COLOURS: Final = dict(zip(EVENT_TYPES, ("#9db4c0", "#5c80bc", "#e8a33d", "#b5838d", "#2a9d5c"), strict=True))
_THOUSANDS: Final = FuncFormatter(lambda value, _: f"{value:,.0f}")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG without the metadata that names software and versions."""
    FigureCanvasAgg(figure)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _figure(width: float, height: float, columns: int, title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    axes = np.atleast_1d(np.asarray(figure.subplots(1, columns), dtype=object)).tolist()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.set_axisbelow(True)
    return figure, axes


def interaction_distribution(types: pd.Series, users: pd.DataFrame, items: pd.DataFrame) -> Figure:
    """Events by type, and how many events a user and an item have.

    Args:
        types: events by type.
        users: columns ``events`` and ``n``, the number of users with so many events.
        items: the same of items.
    """
    figure, (left, middle, right) = _figure(14, 4.2, 3, "Interactions")
    shown = [name for name in EVENT_TYPES if name in types.index]
    counts = [int(types[name]) for name in shown]
    bars = left.bar([name.replace("_", "\n") for name in shown], counts, color=[COLOURS[name] for name in shown])
    left.bar_label(bars, [f"{count:,}\n{count / sum(counts):.1%}" for count in counts], fontsize=8, padding=2)
    left.margins(y=0.18)
    left.set(title="Events by type", ylabel="events")
    left.yaxis.set_major_formatter(_THOUSANDS)
    _activity(middle, users, "user")
    _activity(right, items, "item")
    return figure


def _activity(axis: Axes, counts: pd.DataFrame, who: str) -> None:
    """A histogram on bins of equal width in the logarithm."""
    edges = np.unique(np.round(np.geomspace(1, counts["events"].max() + 1, 31)))
    edges = edges if len(edges) > 1 else np.array([1.0, 2.0])
    axis.hist(counts["events"], bins=edges.tolist(), weights=counts["n"], color="#5c80bc", edgecolor="white")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(_THOUSANDS)
    total = counts["n"].sum()
    median = np.median(np.repeat(counts["events"].to_numpy(), counts["n"].to_numpy()))
    axis.axvline(median, color="#c8553d", linestyle="--", label=f"median {median:,.0f}")
    axis.legend(frameon=False)
    axis.set(title=f"Events per {who} ({total:,} {who}s)", xlabel="events (log scale)", ylabel=f"{who}s")


def top_products(items: pd.DataFrame, n: int = 20) -> Figure:
    """The ``n`` most active items of ``items`` (title, events, purchases; most active first)."""
    top = items.head(n).iloc[::-1]
    figure, (axis,) = _figure(10, 7, 1, f"The {len(top)} most active products")
    labels = [title if len(title) <= 42 else title[:41] + "…" for title in top["title"]]
    at = np.arange(len(top))
    axis.barh(at, top["events"], color="#9db4c0", label="all events")
    axis.barh(at, top["purchases"], color=COLOURS["purchase"], label="purchases", height=0.4)
    axis.set_yticks(at, labels, fontsize=8)
    axis.grid(axis="y", visible=False)
    axis.xaxis.set_major_formatter(_THOUSANDS)
    axis.set(xlabel="events")
    axis.legend(loc="lower right", frameon=False)
    return figure


def activity_over_time(daily: pd.DataFrame) -> Figure:
    """Events a day by type (``day``, ``event_type``, ``events``), with the week's mean of all."""
    wide = daily.pivot(index="day", columns="event_type", values="events").fillna(0)
    wide = wide.reindex(pd.date_range(wide.index.min(), wide.index.max(), freq="D"), fill_value=0)
    figure, (axis,) = _figure(12, 4.5, 1, "Activity over time (days in UTC)")
    shown = [name for name in EVENT_TYPES if name in wide]
    days: Any = wide.index.tz_localize(None) if isinstance(wide.index, pd.DatetimeIndex) else wide.index
    axis.stackplot(days, *(wide[name] for name in shown), labels=shown, colors=[COLOURS[name] for name in shown])
    mean = wide.sum(axis=1).rolling(7, center=True, min_periods=1).mean()
    axis.plot(days, mean, color="#333333", linewidth=1.4, label="all, mean of 7 days")
    axis.yaxis.set_major_formatter(_THOUSANDS)
    axis.set(ylabel="events a day", xlim=(days[0], days[-1] if len(days) > 1 else None), ylim=(0, None))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=6, frameon=False, fontsize=8)
    return figure


def long_tail(items: pd.DataFrame) -> Figure:
    """Events by popularity rank, and the share of all events that the most popular items have."""
    figure, (left, right) = _figure(12, 4.5, 2, "The long tail")
    events = items["events"].to_numpy()
    rank = np.arange(1, len(events) + 1)
    left.loglog(rank, events, color="#5c80bc", linewidth=2)
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(_THOUSANDS)
    left.set(title="Events by rank", xlabel="rank of the item (log scale)", ylabel="events (log scale)")
    share = np.cumsum(events) / events.sum()
    right.plot(rank / len(rank) * 100, share * 100, color="#2a9d5c", linewidth=2)
    fifth = share[max(0, round(len(rank) * 0.2) - 1)] * 100
    right.plot([20, 20, 0], [0, fifth, fifth], color="#c8553d", linestyle="--", linewidth=1)
    right.annotate(f"the top 20 % of items\nhave {fifth:.0f} % of events", (20, fifth), (26, max(5, fifth - 22)))
    right.set(title="Share of the most popular", xlabel="items, most popular first (%)", ylabel="events (%)")
    right.set(xlim=(0, 100), ylim=(0, 101))
    return figure


def evaluation(
    models: Mapping[str, Mapping[int, Mapping[str, float]]], importance: Sequence[tuple[str, float]]
) -> Figure:
    """NDCG and recall by the length of the list for each model, and what the ranker reads most.

    Args:
        models: model -> cut-off -> metric -> value; the first is ours.
        importance: input of the ranker -> share of the gain, the most used first.
    """
    figure, (left, middle, right) = _figure(14, 4.6, 3, "Evaluation on the newest window")
    for axis, metric in ((left, "ndcg"), (middle, "recall")):
        for place, (name, by_k) in enumerate(models.items()):
            width = 2.6 if place == 0 else 1.4
            axis.plot(list(by_k), [values[metric] for values in by_k.values()], label=name, linewidth=width)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(title=f"{metric}@k".replace("ndcg", "NDCG"), xlabel="k (length of the list)", ylim=(0, None))
    left.legend(fontsize=8)
    shown = list(reversed(importance[:12]))
    right.barh([name for name, _ in shown], [share for _, share in shown], color=COLOURS["click"])
    right.set(title="What the ranker reads", xlabel="share of the gain of all splits")
    right.tick_params(axis="y", labelsize=7)
    return figure
