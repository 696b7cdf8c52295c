"""Plots of how users go about it, of the tables of ``core/lake/exploration``; ``sample`` says which users these are."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.core.lake.exploration import MINUTES, STEPS, Unit
from pipelines.io.plots import COLOURS, THOUSANDS, panels

PERIODS: Final = 16
"""Most cohorts, and most periods after the first, in one picture."""
ORDERS: Final = (1, 2, 3, 5, 10, 20, 50)
_PERCENT: Final = FuncFormatter(lambda value, _: f"{value:.3g} %")


def funnel(sessions: pd.Series, users: pd.Series, sample: str) -> Figure:
    """How many sessions and users view, then put into the cart, then buy: those who did all steps so far.

    Steps that nobody takes are left out: a log need not have every type of event.
    """
    figure, axes = panels(12, 3.6, 2, f"From looking to buying{sample}")
    for axis, counts, who in zip(axes, (sessions, users), ("sessions", "users"), strict=True):
        _steps(axis, counts, who)
    return figure


def _steps(axis: Axes, counts: pd.Series, who: str) -> None:
    taken = [name for name in STEPS if counts[f"any_{name}"] > 0]
    reached = [int(counts["all"]), *(int(counts[name]) for name in taken)]
    labels = [f"all {who}", *(f"{'and ' if place else ''}{name}" for place, name in enumerate(taken))]
    colours = ["#cccccc", *(COLOURS[STEPS[name]] for name in taken)]
    bars = axis.barh(labels, reached, color=colours)
    shares = [
        "",
        *(f"  ({now / max(before, 1):.1%} of those before)" for before, now in pairwise(reached)),
    ]
    axis.bar_label(bars, [f"{n:,}{share}" for n, share in zip(reached, shares, strict=True)], padding=4, fontsize=9)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set_xlim(0, reached[0] * 1.45)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(THOUSANDS)
    axis.set(xlabel=who)


def repeat_purchases(orders: pd.DataFrame, gaps: pd.DataFrame, sample: str) -> Figure:
    """Of a log with purchases only: how many users come back, after how long (``orders``, ``n``; ``days``, ``n``)."""
    figure, (left, right) = panels(12, 4, 2, f"Coming back to buy{sample}")
    least = [n for n in ORDERS if n <= orders["orders"].max()]
    users = [int(orders.loc[orders["orders"] >= n, "n"].sum()) for n in least]
    bars = left.barh([f"at least {n}" for n in least], users, color=COLOURS["purchase"])
    left.bar_label(bars, [f"{n:,} ({n / users[0]:.1%})" for n in users], padding=4, fontsize=9)
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    left.set_xlim(0, users[0] * 1.3)
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.xaxis.set_major_formatter(THOUSANDS)
    left.set(title="Users by their number of purchases (sessions)", xlabel="users")
    weeks = gaps["n"].groupby(np.minimum(gaps["days"] // 7, 26)).sum()
    right.bar(weeks.index + 0.5, weeks, width=0.9, color=COLOURS["click"])
    right.yaxis.set_major_formatter(THOUSANDS)
    right.set(title="Time to the next purchase", xlabel="weeks since the one before (26: or more)", ylabel="purchases")
    return figure


def session_length(events: pd.DataFrame, minutes: pd.DataFrame, sample: str) -> Figure:
    """Events and minutes per session (``events``, ``n``; ``minutes``: the class of MINUTES, ``n``)."""
    total = int(events["n"].sum())
    figure, (left, right) = panels(12, 4.2, 2, f"{total:,} sessions{sample}")
    most = 20
    counts = events["n"].groupby(np.minimum(events["events"], most)).sum().reindex(range(1, most + 1), fill_value=0)
    left.bar(counts.index, counts / total * 100, color=COLOURS["click"])
    left.set_xticks([1, 5, 10, 15, most], ["1", "5", "10", "15", f"{most}+"])
    middle = int(events["events"].to_numpy()[np.searchsorted(events["n"].cumsum(), total / 2)])
    left.set(title=f"Events per session (median {middle:,})", xlabel="events", ylabel="sessions (%)")
    by_class = minutes.set_index("minutes")["n"].reindex(range(len(MINUTES) + 1), fill_value=0) / total * 100
    right.bar(range(len(by_class)), by_class, color=COLOURS["click"])
    right.set_xticks(range(len(by_class)), ["0", "<1", *_ranges(MINUTES[1:])], fontsize=8)
    right.set(title="Minutes from the first to the last event", xlabel="minutes (0: one moment)", ylabel="sessions (%)")
    return figure


def _ranges(starts: Sequence[int]) -> list[str]:
    """1–2, 2–5, …, 120+."""
    return [*(f"{low}–{high}" for low, high in pairwise(starts)), f"{starts[-1]}+"]


def cohort_retention(retention: pd.DataFrame, unit: Unit, sample: str) -> Figure:
    """Of the users who came first in a week or month, the share that is there so many later (``first``, ``later``)."""
    wide = retention.pivot(index="first", columns="later", values="users").fillna(0)
    last = int((retention["first"] + retention["later"]).max())
    wide = wide.reindex(columns=range(int(wide.columns.max()) + 1), fill_value=0).iloc[-PERIODS:, : PERIODS + 1]
    share = wide.to_numpy() / wide[0].to_numpy()[:, None] * 100
    first = wide.index.to_numpy()
    later = np.arange(wide.shape[1])
    share[first[:, None] + later[None, :] > last] = np.nan  # not yet
    figure, (axis,) = panels(
        12, 1.8 + 0.34 * len(wide), 1, f"Users who come back, by the {unit} they came first{sample}"
    )
    highest = float(np.nanmax(share[:, 1:])) if share.shape[1] > 1 else 100.0
    image = axis.imshow(share, aspect="auto", cmap="YlGnBu", vmin=0, vmax=max(highest, 1.0))
    axis.grid(visible=False)
    for (row, column), value in np.ndenumerate(share):
        if not np.isnan(value):
            dark = value > 0.6 * highest
            axis.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
    axis.set_xticks(later)
    axis.set_yticks(
        range(len(wide)),
        [f"{_start(p, unit)} ({n:,.0f})" for p, n in zip(first.tolist(), wide[0], strict=True)],
        fontsize=8,
    )
    axis.set(xlabel=f"{unit}s after the first (the last {unit} may not be over)", ylabel=f"first {unit} (users)")
    figure.colorbar(image, label="active users (%)")
    return figure


def _start(period: int, unit: Unit) -> str:
    if unit == "month":
        return str(np.datetime64(period, "M"))
    return str(np.datetime64(period * 7 - 3, "D"))


def sparsity(occupancy: pd.DataFrame, users: int, items: int, sample: str) -> Figure:
    """How full the matrix of users and items is: in all, and by how active they are (``user_bin``, ``item_bin``)."""
    pairs = int(occupancy["pairs"].sum())
    bins = int(occupancy[["user_bin", "item_bin"]].max().max()) + 1
    cells = np.zeros((bins, bins))
    cells[occupancy["user_bin"], occupancy["item_bin"]] = occupancy["pairs"]
    cells /= np.outer(_sizes(users, bins), _sizes(items, bins))
    figure, (axis,) = panels(
        7.6, 6, 1, f"{pairs:,} of {users * items:,} pairs of user and item: {_share(pairs, users * items)}"
    )
    axis.grid(visible=False)
    shown = np.ma.masked_equal(cells * 100, 0)
    image = axis.imshow(shown, cmap="viridis", norm=LogNorm(), extent=(0, 100, 100, 0), interpolation="nearest")
    axis.set(
        xlabel=f"{items:,} items, the most active first (%)",
        ylabel=f"{users:,} users{sample}, the most active first (%)",
    )
    figure.colorbar(image, label="pairs that occur (log scale)", format=_PERCENT, shrink=0.85)
    return figure


def _sizes(n: int, bins: int) -> np.ndarray:
    """Members of each of ``bins`` as ``ntile`` fills them: equal, or the first ones larger by one."""
    return np.maximum(n // bins + (np.arange(bins) < n % bins), 1)


def _share(part: int, whole: int) -> str:
    return f"{part / max(whole, 1):.3%} are filled"
