"""Plots as PNG files whose bytes depend on the data alone; the picture of the evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.core.columns import EVENT_TYPES
from pipelines.io import files

COLOURS: Final = dict(zip(EVENT_TYPES, ("#9db4c0", "#5c80bc", "#e8a33d", "#b5838d", "#2a9d5c"), strict=True))
THOUSANDS: Final = FuncFormatter(lambda value, _: f"{value:,.0f}")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG without the metadata that names software and versions."""
    FigureCanvasAgg(figure)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def panels(width: float, height: float, columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """A figure (inches) of ``columns`` plots side by side under one title."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    axes = np.atleast_1d(np.asarray(figure.subplots(1, columns), dtype=object)).tolist()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.set_axisbelow(True)
    return figure, axes


def evaluation(
    models: Mapping[str, Mapping[int, Mapping[str, float]]], importance: Sequence[tuple[str, float]]
) -> Figure:
    """NDCG and recall by the length of the list for each model, and what the ranker reads most.

    Args:
        models: model -> cut-off -> metric -> value; the first is ours.
        importance: input of the ranker -> share of the gain, the most used first.
    """
    figure, (left, middle, right) = panels(14, 4.6, 3, "Evaluation on the newest window")
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
