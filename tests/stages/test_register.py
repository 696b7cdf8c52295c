"""The stage on figures written by hand; test_models.py runs it after the stages before it."""

import argparse
import logging
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.commands import rollback
from pipelines.context import Context
from pipelines.core.errors import InputError, ServiceError
from pipelines.io import mlflow_runs
from pipelines.io.files import read_json
from pipelines.io.models import promotion, registry
from pipelines.settings import Settings
from pipelines.stages import register
from tests.evaluated import BETTER, EQUAL, WORSE, checkout, evaluated

pytestmark = pytest.mark.slow  # MLflow lays out a new database


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database: laying it out takes seconds."""
    root = tmp_path_factory.mktemp("empty")
    with mlflow_runs.client_of(f"sqlite:///{root}/mlflow.db") as client:
        client.search_experiments()
    return root / "mlflow.db"


@pytest.fixture
def here(tmp_path: Path, empty: Path) -> Context:
    (tmp_path / "data/services/mlflow").mkdir(parents=True)
    shutil.copy(empty, tmp_path / "data/services/mlflow/mlflow.db")
    return checkout(tmp_path)


def receipt(here: Context) -> dict[str, object]:
    register.run(here)
    read: dict[str, object] = read_json(here.root / "data/registered/receipt.json")
    return read


def known(here: Context, number: int) -> registry.Known:
    return registry.named(registry.known(here.settings.mlflow_tracking_uri), str(number))


def test_register_without_verdicts_says_what_to_run(here: Context) -> None:
    evaluated(here.root)
    (here.root / "data/reports/evaluation/verdicts.json").unlink()
    with pytest.raises(InputError, match="python -m pipelines evaluate"):
        register.run(here)


def test_register_logs_the_run_with_everything_it_needs(here: Context) -> None:
    evaluated(here.root)
    run_id = str(receipt(here)["run_id"])
    client = MlflowClient(here.settings.mlflow_tracking_uri)
    run = client.get_run(run_id)
    assert run.data.metrics["slice/recomart/cold users/ndcg_at_10"] == 0.15
    assert run.data.metrics["popularity/ndcg_at_10"] == 0.1
    assert run.data.params["ranker.trees"] == "150"
    assert run.data.tags["feature_service"] == "ranker_v1"
    assert [one.dataset.digest for one in run.inputs.dataset_inputs] == ["no file"]
    assert {one.path for one in client.list_artifacts(run_id)} == {
        *("lineage.json", "model", "model_card.html", "model_card.md", "report"),
    }
    assert (here.root / "data/registered/model_card.html").read_text().startswith("<!DOCTYPE html>")


def test_register_of_the_first_model_makes_it_champion(here: Context) -> None:
    evaluated(here.root)
    told = receipt(here)
    assert (told["version"], told["alias"]) == (1, "champion")
    assert told["reasons"] == [
        "beats popularity: NDCG@10 +0.0200 (95 % interval +0.0100 to +0.0300)",
        "there was no champion",
    ]
    assert known(here, 1).tags[promotion.GATE].splitlines() == told["reasons"]
    assert known(here, 1).description.startswith("**champion**\n\n- beats popularity")


def test_register_again_changes_nothing(here: Context) -> None:
    evaluated(here.root)
    first = receipt(here)
    evaluated(here.root, popularity=WORSE)  # evaluated anew: the bundle is the same, and champion
    assert receipt(here) == first
    assert len(registry.known(here.settings.mlflow_tracking_uri)) == 1


def test_register_of_a_retrain_replaces_the_champion_and_remembers_it(here: Context) -> None:
    evaluated(here.root)
    receipt(here)
    evaluated(here.root, note="newer", champion=EQUAL)
    assert receipt(here)["alias"] == "champion"
    assert known(here, 2).aliases == ("champion",)
    assert known(here, 1).aliases == ("previous",)


def test_register_of_what_is_worse_leaves_the_champion(here: Context, caplog: pytest.LogCaptureFixture) -> None:
    evaluated(here.root)
    receipt(here)
    evaluated(here.root, note="newer", champion=WORSE)
    assert receipt(here)["alias"] == "challenger"
    assert (known(here, 1).aliases, known(here, 2).aliases) == (("champion",), ("challenger",))
    assert [r.levelno for r in caplog.records if "worse than the champion" in r.message] == [logging.WARNING]


def test_register_of_a_challenger_that_wins_later_leaves_no_challenger(here: Context) -> None:
    evaluated(here.root)
    receipt(here)
    evaluated(here.root, note="newer", champion=WORSE)
    receipt(here)
    evaluated(here.root, note="newer", champion=BETTER)
    assert receipt(here)["alias"] == "champion"
    assert known(here, 2).aliases == ("champion",)


def test_register_does_not_promote_what_was_rolled_back(here: Context) -> None:
    evaluated(here.root)
    receipt(here)
    evaluated(here.root, note="newer", champion=BETTER)
    receipt(here)
    rollback.run(Context(argparse.Namespace(to=None), here.settings))
    told = receipt(here)
    assert told["alias"] == "challenger"
    assert "was rolled back" in str(told["reasons"])
    assert registry.champion(here.settings.mlflow_tracking_uri) == 1


def test_register_that_fails_half_way_leaves_a_failed_run_and_no_version(
    here: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(here.root)

    def full(*_: object) -> None:
        raise MlflowException("no space")

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_text", full)
        with pytest.raises(ServiceError, match="no space"):
            register.run(here)
    uri = here.settings.mlflow_tracking_uri
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(registry.NAME)
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert registry.known(uri) == []
    assert receipt(here)["version"] == 1


@pytest.mark.services
def test_register_with_a_postgres_backend(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(settings.root)
    here = checkout(settings.root, settings.postgres_conninfo)
    evaluated(here.root)
    receipt(here)
    evaluated(here.root, note="newer", champion=BETTER)
    assert receipt(here)["version"] == 2
    rollback.run(Context(argparse.Namespace(to=None), here.settings))
    assert registry.champion(settings.postgres_conninfo) == 1
    assert {path.name for path in here.root.iterdir()} == {"data", "params.yaml"}
