"""The evaluation as files: numbers for DVC, the registry and the gate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipelines.core.evaluation.calibration import Deciles
from pipelines.core.evaluation.champion import Compared
from pipelines.core.evaluation.comparison import CHAMPION, Estimate, Verdict
from pipelines.core.evaluation.gate import NOT_COMPARED
from pipelines.core.evaluation.measurement import Results
from pipelines.core.evaluation.slices import METRICS, Measured
from pipelines.core.models.metrics import BEYOND, NAMES
from pipelines.io.files import write_json, write_text

INPUTS: Final = 25
"""Inputs of the ranker that are listed."""

ByK = Mapping[int, Mapping[str, float]]
"""Cut-off -> metric -> value."""
Curves = Mapping[tuple[str, str, int], Estimate]
"""(model, metric, cut-off) -> value with its interval."""
Shares = Sequence[tuple[str, float]]
"""Names with numbers, in order."""
Ablation = Mapping[str, Mapping[str, float]]
"""Step -> its numbers, in order."""


def write(folder: Path, results: Results, importance: Shares, compared: Compared, users: int) -> None:
    """All numbers of the report's folder."""
    write_headlines(folder, results.models, results.headline)
    write_curves(folder / "metric_by_k.csv", results.models)
    write_importance(folder / "importance.csv", importance[:INPUTS])
    write_calibration(folder / "calibration.csv", results.deciles)
    write_verdicts(folder / "verdicts.json", results.verdicts, users, compared.version, compared.why_not)
    write_slices(folder / "slices.json", results.slices, results.headline)
    if results.steps:
        write_ablation(folder / "ablation.json", results.steps)


def write_metrics(path: Path, models: Mapping[str, ByK], curves: Curves, ks: Sequence[int], users: int) -> None:
    """model -> metric@k -> value, with the bounds of its 95 % interval where that is known; the number of users."""
    values: dict[str, Any] = {"users": users}
    for model, by_k in models.items():
        values[model] = {f"{name}@{k}": round(by_k[k][name], 6) for name in (*NAMES, *BEYOND) for k in ks}
        for (owner, name, k), one in curves.items():
            if owner == model and k in ks:
                values[model] |= {f"{name}@{k}_low": round(one.low, 6), f"{name}@{k}_high": round(one.high, 6)}
    write_json(path, values)


def write_headlines(folder: Path, models: Mapping[str, ByK], k: int) -> None:
    """A file for each model with its metrics at one cut-off: a row each in ``dvc metrics show``."""
    for model, by_k in models.items():
        write_json(folder / f"{model}.json", {f"{name}@{k}": round(by_k[k][name], 4) for name in (*NAMES, *BEYOND)})


def write_curves(path: Path, models: Mapping[str, ByK]) -> None:
    """A row for each cut-off, a column for each metric of each model."""
    header = ["k", *(f"{name}_{model}" for name in NAMES for model in models)]
    cut_offs = sorted(next(iter(models.values())))
    rows = [[str(k), *(f"{models[m][k][name]:.6f}" for name in NAMES for m in models)] for k in cut_offs]
    write_text(path, "".join(",".join(row) + "\n" for row in [header, *rows]))


def write_importance(path: Path, importance: Shares) -> None:
    """A row for each input of the ranker, the most used first."""
    write_text(path, "input,gain\n" + "".join(f"{name},{gain:.6f}\n" for name, gain in importance))


def write_calibration(path: Path, deciles: Deciles) -> None:
    """A row for each decile of the score, the lowest first."""
    rows = zip(deciles.score, deciles.rate, deciles.low, deciles.high, strict=True)
    lines = [f"{n},{score:.6f},{rate:.6f},{low:.6f},{high:.6f}" for n, (score, rate, low, high) in enumerate(rows, 1)]
    write_text(path, "\n".join(["decile,score,rate,low,high", *lines]) + "\n")


def write_verdicts(
    path: Path, verdicts: Mapping[str, Verdict], users: int, version: int | None, not_compared: str | None
) -> None:
    """Other model -> how ours compares with it, and the number of ``users``.

    ``version``: the champion's; ``not_compared``: why there is no verdict on it.
    """
    values: dict[str, Any] = {
        name: {part: round(getattr(one, part), 6) for part in ("difference", "low", "high", "p")}
        for name, one in verdicts.items()
    }
    if CHAMPION in values:
        values[CHAMPION]["version"] = version
    if not_compared:
        values[NOT_COMPARED] = not_compared
    write_json(path, {**values, "users": users})


def write_slices(path: Path, measured: Sequence[Measured], k: int) -> None:
    """model -> slice -> its numbers; and what each slice is."""
    models: dict[str, dict[str, Any]] = {}
    for one in measured:
        for model, metrics in one.models.items():
            numbers: dict[str, float] = {"users": one.users}
            for name in METRICS:
                value = metrics[name]
                numbers[f"{name}@{k}"] = round(value.mean, 6)
                numbers |= {f"{name}@{k}_low": round(value.low, 6), f"{name}@{k}_high": round(value.high, 6)}
            models.setdefault(model, {})[one.part.name] = numbers
    write_json(path, {**models, "meaning": {one.part.name: one.part.meaning for one in measured}})


def write_ablation(path: Path, steps: Ablation) -> None:
    """Step -> its numbers; the names are numbered, so that they sort in the order of the steps."""
    write_json(path, {f"{n:02} {name}": dict(numbers) for n, (name, numbers) in enumerate(steps.items())})
