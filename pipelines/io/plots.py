"""Plots as PNG files whose bytes depend on the data alone."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

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
