import json
from pathlib import Path

from pipelines.core.metrics import NAMES
from pipelines.io import evaluation_report, plots

MODELS = {
    "ours": {k: dict.fromkeys(NAMES, 0.5 / k) for k in (1, 2)},
    "popularity": {k: dict.fromkeys(NAMES, 0.25 / k) for k in (1, 2)},
}


def test_metrics_name_model_metric_and_cut_off(tmp_path: Path) -> None:
    evaluation_report.write_metrics(tmp_path / "m.json", MODELS, [2], users=7)
    values = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert values["users"] == 7
    assert values["ours"] == {f"{name}@2": 0.25 for name in NAMES}


def test_headlines_are_a_file_for_each_model(tmp_path: Path) -> None:
    evaluation_report.write_headlines(tmp_path, MODELS, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"ours.json", "popularity.json"}
    assert json.loads((tmp_path / "popularity.json").read_text(encoding="utf-8"))["ndcg@1"] == 0.25


def test_curves_have_a_row_for_each_cut_off(tmp_path: Path) -> None:
    evaluation_report.write_curves(tmp_path / "c.csv", MODELS)
    header, first, second = (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()
    column = header.split(",").index("ndcg_popularity")
    assert [row.split(",")[column] for row in (first, second)] == ["0.250000", "0.125000"]


def test_evaluation_plot_depends_on_the_numbers_alone(tmp_path: Path) -> None:
    for name, models in (("a", MODELS), ("b", MODELS), ("c", {"ours": MODELS["popularity"]})):
        plots.save(plots.evaluation(models, [("svd_score", 0.7), ("item_age_days", 0.3)]), tmp_path / f"{name}.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
