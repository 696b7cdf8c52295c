"""Pictures of the evaluation."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pipelines.core.evaluation.calibration import Deciles
from pipelines.core.evaluation.comparison import ALL_TIME, BASELINE, CHAMPION, OURS, Estimate
from pipelines.core.evaluation.measurement import Results
from pipelines.core.evaluation.slices import Measured
from pipelines.io.models.evaluation_report import Ablation, Curves, Shares
from pipelines.io.plots import panels

FIRST: Final = {OURS: "#2a9d5c", CHAMPION: "#c8553d", BASELINE: "#5b6770", ALL_TIME: "#b0b7bc"}
OTHERS: Final = ("#5c80bc", "#e8a33d", "#8e6c8a", "#4fb0c6", "#a0703c", "#d77fa1", "#7a8b3c", "#3b4f87")
STYLES: Final = {CHAMPION: "--", ALL_TIME: ":"}
INPUTS: Final = 15
STEP: Final = "#5c80bc"


def pictures(results: Results, blend: Shares, inputs: Shares) -> dict[str, Figure]:
    """Name -> picture; ``blend``: sources with their weights; ``inputs``: what the trees read, none without trees."""
    found = {
        "metric_by_k": metric_by_k(results.curves),
        "slices": slices(results.slices, results.headline),
        "calibration": calibration(results.deciles),
        "importance": importance(blend, inputs),
    }
    if results.steps:
        found["ablation"] = ablation(results.steps, results.headline)
    return found


def metric_by_k(curves: Curves) -> Figure:
    """NDCG and recall by the length of the list, with the 95 % intervals."""
    figure, axes = panels(13, 5.2, 2, "How good the first k places are")
    names = list(dict.fromkeys(model for model, _, _ in curves))
    colours = _colours(names)
    for axis, metric, title in zip(axes, ("ndcg", "recall"), ("NDCG@k", "recall@k"), strict=True):
        for name in names:
            line = {k: one for (model, measured, k), one in curves.items() if (model, measured) == (name, metric)}
            ks, ours = list(line), name in (OURS, CHAMPION)
            (drawn,) = axis.plot(ks, [one.mean for one in line.values()], label=name, color=colours[name])
            drawn.set(linewidth=2.6 if ours else 1.5, linestyle=STYLES.get(name, "-"))
            bounds = [one.low for one in line.values()], [one.high for one in line.values()]
            axis.fill_between(ks, *bounds, color=colours[name], alpha=0.15 if ours else 0.07, linewidth=0)
        axis.set_xticks(sorted({1, *range(5, max(ks) + 1, 5)}))
        axis.set(title=title, xlabel="k (length of the list)", ylabel=f"{title}, mean of users", ylim=(0, None))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def calibration(deciles: Deciles) -> Figure:
    """The rate of hits by decile of the ranker's score."""
    figure, (axis,) = panels(8, 4.6, 1, "Does a higher score mean a better chance?")
    at = np.arange(1, len(deciles.rate) + 1)
    spread = [np.maximum(deciles.rate - deciles.low, 0), np.maximum(deciles.high - deciles.rate, 0)]
    axis.errorbar(at, deciles.rate, yerr=spread, color=FIRST[OURS], marker="o", capsize=4, linewidth=1.8)
    mean = np.average(deciles.rate)
    axis.axhline(mean, color=FIRST[BASELINE], linestyle="--", linewidth=1, label=f"all candidates: {mean:.2%}")
    axis.set_xticks(at, [f"{n}\n{score:.2f}" for n, score in zip(at, deciles.score, strict=True)], fontsize=8)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set(
        xlabel="decile of the score, and its mean score", ylabel="candidates turned to in the window", ylim=(0, None)
    )
    axis.legend(frameon=False, loc="upper left")
    return figure


def importance(blend: Shares, inputs: Shares) -> Figure:
    """The weights of the sources, and what the trees read most."""
    figure, (left, right) = panels(13, 5.2, 2, "What the ranker goes by")
    _ranked_bars(left, blend, "{:.2f}")
    left.set(title="The blend of the sources", xlabel="weight of a source's order")
    _ranked_bars(right, inputs[:INPUTS], "{:.1%}")
    right.set(title="The trees on top of it" if inputs else "No trees", xlabel="share of the gain of all splits")
    right.xaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


def slices(measured: Sequence[Measured], k: int) -> Figure:
    """NDCG of ours, the champion and popularity on every slice, with the 95 % intervals."""
    dimensions = list(dict.fromkeys(one.part.dimension for one in measured))
    figure, axes = panels(4.1 * len(dimensions), 4.6, len(dimensions), f"NDCG@{k} by slice")
    for axis, dimension in zip(axes, dimensions, strict=True):
        inside = [one for one in measured if one.part.dimension == dimension]
        _bars(axis, inside, [name for name in (OURS, CHAMPION, BASELINE) if any(name in one.models for one in inside)])
        axis.set_title(f"by {dimension}", fontsize=10)
    axes[0].set_ylabel(f"NDCG@{k}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def ablation(steps: Ablation, k: int) -> Figure:
    """NDCG of each step, with its 95 % interval, the first one on top."""
    figure, (axis,) = panels(9.5, 0.42 * len(steps) + 1.6, 1, "What each part adds")
    at = np.arange(len(steps))[::-1]
    mean = np.array([step[f"ndcg@{k}"] for step in steps.values()])
    low, high = (np.array([step[bound] for step in steps.values()]) for bound in ("low", "high"))
    axis.plot(mean, at, color="#b0b7bc", linewidth=1)
    axis.errorbar(mean, at, xerr=[mean - low, high - mean], fmt="o", color=STEP, capsize=3)
    for x, y, step in zip(high, at, steps.values(), strict=True):
        change = f"  {step['gain']:+.4f}" if "gain" in step else ""
        text = f"{step[f'ndcg@{k}']:.4f}{change}"
        axis.annotate(text, (x, y), (8, -3), textcoords="offset points", fontsize=8)
    axis.set_yticks(at, list(steps))
    axis.margins(x=0.22)
    axis.set(xlabel=f"NDCG@{k} with its 95 % interval; the value, and the gain over the step above", xlim=(None, None))
    return figure


def _ranked_bars(axis: Axes, shares: Shares, form: str) -> None:
    """The first one on top."""
    names, values = [name for name, _ in reversed(shares)], [value for _, value in reversed(shares)]
    bars = axis.barh(names, values, color=STEP)
    axis.bar_label(bars, [form.format(value) for value in values], fontsize=8, padding=3)
    axis.margins(x=0.12)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", labelsize=8)


def _bars(axis: Axes, measured: Sequence[Measured], models: Sequence[str]) -> None:
    width, at = 0.8 / max(len(models), 1), np.arange(len(measured))
    for place, name in enumerate(models):
        found: list[Estimate] = [
            one.models[name]["ndcg"] if one.users else Estimate(0.0, 0.0, 0.0) for one in measured
        ]  # fmt: skip
        mean = np.array([one.mean for one in found])
        spread = [mean - [one.low for one in found], [one.high for one in found] - mean]
        x = at + (place - (len(models) - 1) / 2) * width
        axis.bar(x, mean, width, yerr=spread, label=name, color=FIRST[name], capsize=2, error_kw={"linewidth": 0.9})
    axis.set_xticks(at, [f"{one.part.name.replace(' ', chr(10))}\n{one.users:,} users" for one in measured], fontsize=8)
    axis.grid(axis="x", visible=False)
    axis.set_ylim(0, None)


def _colours(models: Sequence[str]) -> Mapping[str, str]:
    others = [name for name in models if name not in FIRST]
    return FIRST | {name: OTHERS[n % len(OTHERS)] for n, name in enumerate(others)}
