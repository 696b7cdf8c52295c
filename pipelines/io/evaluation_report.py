"""The evaluation as files: numbers for DVC, a report for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.metrics import NAMES
from pipelines.io.files import write_json, write_text

ByK = Mapping[int, Mapping[str, float]]
"""Cut-off -> metric -> value."""


def write_metrics(path: Path, models: Mapping[str, ByK], ks: Sequence[int], users: int) -> None:
    """model -> metric@k -> value, and the number of users."""
    values = {m: {f"{name}@{k}": round(by_k[k][name], 6) for name in NAMES for k in ks} for m, by_k in models.items()}
    write_json(path, {**values, "users": users})


def write_headlines(folder: Path, models: Mapping[str, ByK], k: int) -> None:
    """A file for each model with its metrics at one cut-off: a row each in ``dvc metrics show``."""
    for model, by_k in models.items():
        write_json(folder / f"{model}.json", {f"{name}@{k}": round(by_k[k][name], 4) for name in NAMES})


def write_curves(path: Path, models: Mapping[str, ByK]) -> None:
    """A row for each cut-off, a column for each metric of each model."""
    header = ["k", *(f"{name}_{model}" for name in NAMES for model in models)]
    cut_offs = sorted(next(iter(models.values())))
    rows = [[str(k), *(f"{models[m][k][name]:.6f}" for name in NAMES for m in models)] for k in cut_offs]
    write_text(path, "".join(",".join(row) + "\n" for row in [header, *rows]))


def write_importance(path: Path, importance: Sequence[tuple[str, float]]) -> None:
    """A row for each input of the ranker, the most used first."""
    write_text(path, "input,gain\n" + "".join(f"{name},{gain:.6f}\n" for name, gain in importance))


def table(models: Mapping[str, ByK], k: int) -> str:
    """The models' metrics at one cut-off as a Markdown table that also reads well on a terminal."""
    width = max(map(len, models))
    lines = [
        f"| {'model':{width}} | " + " | ".join(f"{name + '@' + str(k):>12}" for name in NAMES) + " |",
        f"|{'-' * (width + 2)}|" + f"{'-' * 13}:|" * len(NAMES),
    ]
    lines += [
        f"| {model:{width}} | " + " | ".join(f"{by_k[k][name]:12.4f}" for name in NAMES) + " |"
        for model, by_k in models.items()
    ]
    return "\n".join(lines)


def write_report(path: Path, sections: Mapping[str, Any]) -> None:
    """Title -> text, in order; the first is the report's own title."""
    (title, introduction), *others = sections.items()
    text = [f"# {title}", introduction, *(f"## {name}\n\n{body}" for name, body in others)]
    write_text(path, "\n\n".join(text) + "\n")
