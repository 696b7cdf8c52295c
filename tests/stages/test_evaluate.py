"""The stage after those before it, on a small shop with tastes and real services."""

from dataclasses import replace

import pytest

from pipelines.context import Context
from pipelines.core.evaluation.champion import LEARNED_UNTIL
from pipelines.io.files import read_json
from pipelines.io.models import bundles
from pipelines.settings import Settings
from pipelines.stages import assemble, evaluate, register, train
from tests.feature_data import published
from tests.tastes import ITEMS, context, shop

pytestmark = [pytest.mark.services, pytest.mark.slow]


def test_evaluate_writes_verdicts_slices_steps_and_pictures(settings: Settings) -> None:
    published(settings, shop(), ITEMS)
    here = context(settings)
    for stage in (assemble, train, evaluate):
        stage.run(here)
    folder = settings.root / "data/reports/evaluation"
    verdicts, slices, ablation = (read_json(folder / f"{name}.json") for name in ("verdicts", "slices", "ablation"))
    users = read_json(settings.root / "data/reports/metrics.json")["users"]
    assert verdicts["popularity"]["low"] > 0
    assert not {"champion", "champion_not_compared"} & set(verdicts)  # there is none yet
    assert slices["recomart"]["frequent users"]["users"] <= verdicts["users"] == users
    assert list(ablation)[-1].endswith("recomart")
    pictures = {path.stem for path in folder.glob("*.png")}
    assert pictures == {"metric_by_k", "slices", "ablation", "calibration", "importance"}


@pytest.mark.parametrize("changed", [("neighbours: 100", "neighbours: 3"), ("trees: 20", "trees: 5")])
def test_evaluate_measures_the_champion_as_it_would_have_been_before_the_window(
    settings: Settings, changed: tuple[str, str]
) -> None:
    """A champion of other settings, whose candidates are others or the same, gets what was measured of it then."""
    published(settings, shop(), ITEMS)
    here = context(settings)
    for stage in (assemble, train, evaluate):
        stage.run(here)
    final = settings.root / "data/models/final"
    bundle, cut = bundles.load(final), bundles.load(settings.root / "data/models/evaluation").manifest["cut"]
    bundles.save(replace(bundle, manifest={**bundle.manifest, LEARNED_UNTIL: cut}), final)
    register.run(here)
    then = read_json(settings.root / "data/reports/metrics.json")["recomart"]

    text = (settings.root / "params.yaml").read_text()
    assert changed[0] in text
    (settings.root / "params.yaml").write_text(text.replace(*changed))
    here = Context(here.args, settings)
    for stage in (assemble, train, evaluate):
        stage.run(here)
    measured = read_json(settings.root / "data/reports/metrics.json")
    verdict = read_json(settings.root / "data/reports/evaluation/verdicts.json")["champion"]
    assert measured["champion"] == pytest.approx(then, abs=2e-6)
    assert measured["champion"] != measured["recomart"]
    assert verdict["version"] == 1
    gap = measured["recomart"]["ndcg@10"] - then["ndcg@10"]
    assert verdict["difference"] == pytest.approx(gap, abs=3e-6)


def test_evaluate_says_why_a_champion_that_saw_the_window_is_not_compared(settings: Settings) -> None:
    published(settings, shop(), ITEMS)
    here = context(settings)
    for stage in (assemble, train, evaluate):
        stage.run(here)
    final = settings.root / "data/models/final"
    bundle = bundles.load(final)
    bundles.save(replace(bundle, manifest={**bundle.manifest, LEARNED_UNTIL: bundle.manifest["cut"]}), final)
    register.run(here)
    evaluate.run(here)
    folder = settings.root / "data/reports/evaluation"
    assert "after the window began" in read_json(folder / "verdicts.json")["champion_not_compared"]
    assert "The champion in service isn't among them" in (folder / "report.md").read_text()
