import json
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.evaluation.calibration import Deciles
from pipelines.core.evaluation.champion import Compared
from pipelines.core.evaluation.comparison import Estimate, Verdict
from pipelines.core.evaluation.measurement import Results
from pipelines.core.evaluation.slices import METRICS, Measured, Slice
from pipelines.core.models.metrics import BEYOND, NAMES
from pipelines.io import plots
from pipelines.io.models import evaluation_plots, evaluation_report, evaluation_text

VALUES = {"recomart": 0.5, "svd": 0.375, "popularity": 0.25}
MODELS = {name: {k: dict.fromkeys((*NAMES, *BEYOND), v / k) for k in (1, 2)} for name, v in VALUES.items()}
CURVES = {
    (name, metric, k): Estimate(v / k, v / k - 0.1, v / k + 0.1)
    for name, v in VALUES.items()
    for metric in METRICS
    for k in (1, 2)
}
PART, NOBODY = (Slice("age of the user", name, f"age of the user: {name}") for name in ("young users", "old users"))
OF_PART = {name: dict.fromkeys(METRICS, Estimate(v, v - 0.1, v + 0.1)) for name, v in VALUES.items()}
STEPS = {
    "best source: svd": {"ndcg@2": 0.1, "low": 0.05, "high": 0.15},
    "ranker": {"ndcg@2": 0.3, "low": 0.25, "high": 0.35, "inputs": 4, "gain": 0.2, "gain_low": 0.1, "gain_high": 0.3},
}
RESULTS = Results(
    models=MODELS,
    curves=CURVES,
    verdicts={"svd": Verdict(0.0625, -0.01, 0.14, 0.09), "popularity": Verdict(0.125, 0.1, 0.15, 0.0001)},
    slices=[Measured(PART, 1234, OF_PART), Measured(NOBODY, 0, {})],
    steps=STEPS,
    deciles=Deciles(*np.array([[-1.0, 1.0], [0.01, 0.05], [0.005, 0.04], [0.02, 0.06]])),
    cut_offs=[1, 2],
    headline=2,
)
BLEND = [("svd", 1.25), ("popularity", 0.25)]
IMPORTANCE = [("svd_score", 0.7), ("item_age_days", 0.3)]
WINDOW = {"cut": "2026-01-10T00:00:00", "end": "2026-01-24T00:00:00", "active_users": 9, "users": 4, "relevant": 10}
MANIFEST = {"sources": ["svd", "popularity"], "params": {"candidates": {"repeat": False}}}
CHOICE = {"trees": 30, "source": None, "measured": {"svd": 0.3, "30 trees": 0.4}, "users": 17}
SPLIT = {"evaluation": WINDOW, "training": [{"cut": "2025-12-27T00:00:00"}]}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def report(folder: Path, not_compared: str | None = None) -> str:
    evaluation_text.write(folder / "r.md", RESULTS, SPLIT, MANIFEST, BLEND, IMPORTANCE, not_compared, CHOICE)
    return (folder / "r.md").read_text(encoding="utf-8")


def test_metrics_name_model_metric_and_cut_off(tmp_path: Path) -> None:
    evaluation_report.write_metrics(tmp_path / "m.json", MODELS, CURVES, [2], users=7)
    values = read(tmp_path / "m.json")
    assert values["users"] == 7
    bounds = {f"{name}@2_{bound}": value for name in METRICS for bound, value in (("low", 0.15), ("high", 0.35))}
    assert values["recomart"] == {f"{name}@2": 0.25 for name in (*NAMES, *BEYOND)} | bounds


def test_headlines_are_a_file_for_each_model(tmp_path: Path) -> None:
    evaluation_report.write_headlines(tmp_path, MODELS, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"recomart.json", "svd.json", "popularity.json"}
    assert read(tmp_path / "popularity.json")["ndcg@1"] == 0.25


def test_curves_have_a_row_for_each_cut_off(tmp_path: Path) -> None:
    evaluation_report.write_curves(tmp_path / "c.csv", MODELS)
    header, first, second = (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()
    column = header.split(",").index("ndcg_popularity")
    assert [row.split(",")[column] for row in (first, second)] == ["0.250000", "0.125000"]


def test_verdicts_say_which_champion_was_compared_or_why_none(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    both = {**RESULTS.verdicts, "champion": Verdict(0.0, -0.1, 0.1, 1.0)}
    evaluation_report.write_verdicts(path, both, 4, version=3, not_compared=None)
    assert read(path)["champion"] == {"difference": 0.0, "low": -0.1, "high": 0.1, "p": 1.0, "version": 3}
    assert read(path)["users"] == 4
    evaluation_report.write_verdicts(path, RESULTS.verdicts, 4, version=3, not_compared="it has seen the window")
    assert read(path)["champion_not_compared"] == "it has seen the window"
    assert "champion" not in read(path)


def test_slices_have_every_model_with_its_intervals(tmp_path: Path) -> None:
    evaluation_report.write_slices(tmp_path / "s.json", RESULTS.slices, 10)
    values = read(tmp_path / "s.json")
    young = values["svd"]["young users"]
    assert (young["users"], young["ndcg@10"], young["ndcg@10_low"], young["recall@10_high"]) == (
        1234,
        0.375,
        0.275,
        0.475,
    )
    assert "old users" not in values["svd"]
    assert values["meaning"]["old users"] == "age of the user: old users"


def test_steps_sort_in_their_order(tmp_path: Path) -> None:
    evaluation_report.write_ablation(tmp_path / "a.json", {"z": STEPS["ranker"], "a": STEPS["ranker"]})
    assert list(read(tmp_path / "a.json")) == ["00 z", "01 a"]


def test_numbers_of_an_evaluation_without_ablation_leave_its_file_out(tmp_path: Path) -> None:
    evaluation_report.write(tmp_path, RESULTS, IMPORTANCE, Compared(), 4)
    assert (tmp_path / "ablation.json").exists()
    (tmp_path / "off").mkdir()
    evaluation_report.write(tmp_path / "off", Results(**{**vars(RESULTS), "steps": {}}), IMPORTANCE, Compared(), 4)
    assert not (tmp_path / "off/ablation.json").exists()


def test_grid_is_aligned_markdown() -> None:
    text = evaluation_text.grid(["model", "n"], [["a", "1,000"], ["popular", "7"]])
    assert text.splitlines() == [
        "| model   |     n |",
        "|---------|------:|",
        "| a       | 1,000 |",
        "| popular |     7 |",
    ]


def test_report_names_window_verdicts_slices_and_steps(tmp_path: Path) -> None:
    text = report(tmp_path)
    assert "Window: 2026-01-10 to 2026-01-24" in text and "2.5 items each" in text
    assert "RecoMart **can't be told apart from** svd" in text and "RecoMart **beats** popularity" in text
    assert "| young users |" in text and "1,234" in text
    assert "+0.2000 (+0.1000 to +0.3000)" in text
    assert "5.00% (4.00% to 6.00%)" in text
    assert "| svd        |              1.2500 |" in text
    assert "**30 trees**" in text and "17 users" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Best 1", "## Best 2", "## Who beats whom", "## By slice", "## What each part adds", "## Beyond accuracy",
        "## Inside the ranker", "## How the ranker was chosen",
    ]  # fmt: skip


def test_report_says_why_the_champion_is_not_compared(tmp_path: Path) -> None:
    assert "The champion in service isn't among them: it has gone." in report(tmp_path, "it has gone")
    assert "champion" not in report(tmp_path).lower()


def test_pictures_depend_on_the_numbers_alone(tmp_path: Path) -> None:
    other = Results(**{**vars(RESULTS), "curves": {key: Estimate(0.2, 0.1, 0.3) for key in CURVES}})
    for name, results in (("a", RESULTS), ("b", RESULTS), ("c", other)):
        for picture, figure in evaluation_plots.pictures(results, BLEND, IMPORTANCE).items():
            plots.save(figure, tmp_path / f"{name}_{picture}.png")
    for picture in ("metric_by_k", "slices", "calibration", "ablation", "importance"):
        assert (tmp_path / f"a_{picture}.png").read_bytes() == (tmp_path / f"b_{picture}.png").read_bytes()
    assert (tmp_path / "a_metric_by_k.png").read_bytes() != (tmp_path / "c_metric_by_k.png").read_bytes()
