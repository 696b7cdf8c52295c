"""assemble → train → evaluate → register, on a small shop with tastes and real services."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError, ModelError
from pipelines.io.files import read_json, sha256
from pipelines.io.models import bundles, registry
from pipelines.settings import Settings
from pipelines.stages import assemble, evaluate, register, train
from tests.feature_data import day, event, published
from tests.tastes import CUT, ITEMS, context, shop

pytestmark = [pytest.mark.services, pytest.mark.slow]


def columns(path: Path, leave_out: str = "label") -> dict[str, str]:
    """Column -> its values as text, in which NaN equals NaN."""
    table = pq.read_table(path)
    return {name: repr(table[name].to_pylist()) for name in table.column_names if name != leave_out}


def test_models_from_assemble_to_register(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    published(settings, shop(), ITEMS)
    here = context(settings)
    assemble.run(here)
    first = sha256(settings.root / "data/training/training.parquet")
    train.run(here)
    digest = bundles.digest(settings.root / "data/models/final")
    evaluate.run(here)
    register.run(here)

    measured = read_json(settings.root / "data/reports/metrics.json")
    assert measured["recomart"]["ndcg@10"] > measured["popularity"]["ndcg@10"] > 0
    report = (settings.root / "data/reports/evaluation/report.md").read_text()
    assert "2024-04-16 to 2024-04-30" in report
    assert "RecoMart **beats** popularity" in report
    assert "| recomart" in capsys.readouterr().out
    assert (settings.root / "data/reports/evaluation/metric_by_k.csv").read_text().count("\n") == 21

    receipt = read_json(settings.root / "data/registered/receipt.json")
    uri = settings.mlflow_tracking_uri
    assert receipt["bundle_sha256"] == digest
    assert registry.champion(uri) == receipt["version"] == 1
    assert bundles.digest(registry.fetch(uri, 1, settings.root / "fetched")) == digest

    assemble.run(here)
    train.run(here)
    register.run(here)
    assert sha256(settings.root / "data/training/training.parquet") == first
    assert bundles.digest(settings.root / "data/models/final") == digest
    assert read_json(settings.root / "data/registered/receipt.json") == receipt


def test_models_know_nothing_of_the_future(settings: Settings) -> None:
    published(settings, shop(), ITEMS)
    here = context(settings)
    assemble.run(here)
    folder = settings.root / "data/training"
    training, evaluation = sha256(folder / "training.parquet"), columns(folder / "evaluation.parquet")
    sources = read_json(folder / "sources/manifest.json")["files"]
    truth = columns(folder / "truth.parquet")

    changed = [e | {"event_type": "purchase", "price": 77.0} if e["timestamp"] >= day(CUT) else e for e in shop()]
    published(settings, changed, ITEMS)
    assemble.run(here)
    assert sha256(folder / "training.parquet") == training
    assert read_json(folder / "sources/manifest.json")["files"] == sources
    assert columns(folder / "evaluation.parquet") == evaluation
    assert columns(folder / "truth.parquet") != truth


def test_register_keeps_a_champion_that_is_better(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    published(settings, shop(), ITEMS)
    here = context(settings)
    for stage in (assemble, train, evaluate, register):
        stage.run(here)
    bundle = bundles.load(settings.root / "data/models/final")
    manifest = {**bundle.manifest, "params": {**bundle.manifest["params"], "seed": 8}}
    bundles.save(replace(bundle, manifest=manifest), settings.root / "data/models/final")
    evaluate.run(here)
    register.run(here)
    receipt = read_json(settings.root / "data/registered/receipt.json")
    assert (receipt["version"], receipt["alias"]) == (2, "challenger")
    assert registry.champion(settings.mlflow_tracking_uri) == 1
    assert "of another configuration than the champion, version 1" in caplog.text


def test_assemble_of_a_short_log_says_what_to_change(settings: Settings) -> None:
    short = [event(f"u{n}", f"i{n:02}", "view", n + 0.5) for n in range(20)]
    published(settings, short, ITEMS)
    with pytest.raises(InputError, match=r"split\.window_days"):
        assemble.run(context(settings))
    assert not (settings.root / "data/training").exists()


def test_evaluate_without_training_says_what_to_run(settings: Settings) -> None:
    with pytest.raises(ModelError, match="python -m pipelines train"):
        evaluate.run(context(settings))
