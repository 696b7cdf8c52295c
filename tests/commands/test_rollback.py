"""Rolling back among registered versions; that the service follows the alias: tests/serving/test_backends.py."""

import argparse
from pathlib import Path

import pytest

from pipelines.commands import models, rollback
from pipelines.context import Context
from pipelines.core.errors import ModelError
from pipelines.io.models import promotion, registry
from pipelines.stages import register
from tests.evaluated import BETTER, WORSE, checkout, evaluated

pytestmark = pytest.mark.slow  # MLflow lays out a new database


@pytest.fixture
def here(tmp_path: Path) -> Context:
    """Versions 1, 2 and 3: each was promoted but the last, which is the challenger."""
    context = checkout(tmp_path)
    for note, verdict in (("", BETTER), ("second", BETTER), ("third", WORSE)):
        evaluated(tmp_path, note=note, champion=verdict)
        register.run(context)
    return context


def roll(here: Context, to: str | None = None) -> None:
    rollback.run(Context(argparse.Namespace(to=to), here.settings))


def version(here: Context, number: int) -> registry.Known:
    return registry.named(registry.known(here.settings.mlflow_tracking_uri), str(number))


def test_rollback_brings_the_champion_before_back_once(here: Context, capsys: pytest.CaptureFixture[str]) -> None:
    roll(here)
    assert "the service runs version 1 from now on, in place of 2: events before 2026-02-25" in capsys.readouterr().out
    assert version(here, 1).aliases == ("champion",)
    assert version(here, 2).aliases == ()
    restored, left = version(here, 1).tags[promotion.RESTORED], version(here, 2).tags[promotion.ROLLED_BACK]
    assert restored.endswith(", from version 2") and left.endswith(", to version 1")
    assert " by " in restored and restored.startswith("20")

    roll(here)
    assert "version 1 is champion already, restored 20" in capsys.readouterr().out
    assert version(here, 1).tags[promotion.RESTORED] == restored


def test_rollback_to_a_version_and_forward_again(here: Context, capsys: pytest.CaptureFixture[str]) -> None:
    roll(here, "challenger")
    assert version(here, 3).aliases == ("champion",)
    roll(here, "2")
    assert version(here, 2).aliases == ("champion",)
    assert promotion.ROLLED_BACK not in version(here, 2).tags
    capsys.readouterr()
    models.run(Context(argparse.Namespace(newest=2), here.settings))
    told = capsys.readouterr().out
    header, third, second, *_ = told.splitlines()
    assert header.split() == ["VERSION", "ALIASES", "EVENTS", "BEFORE", "FEATURES", "NDCG@10", "POPULARITY"]
    assert third.split() == ["3", "rolled", "back", "2026-02-25T00:00", "ranker_v1", "0.2000", "0.1000"]
    assert second.split()[:2] == ["2", "champion"]
    assert "gate       version 3 is worse than the champion, version 2" in told


def test_rollback_to_an_unknown_version_lists_those_there_are(here: Context) -> None:
    with pytest.raises(ModelError, match="no model version '9'; there are: 1 previous, 2 champion, 3 challenger"):
        roll(here, "9")


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_rollback_to_a_broken_bundle_leaves_the_champion(here: Context, damage: str) -> None:
    folder = here.root / "data/services/mlflow/artifacts" / version(here, 1).run_id / "artifacts" / registry.BUNDLE
    if damage == "lost":
        (folder / "manifest.json").unlink()
    else:
        (folder / "popularity.scores.npy").write_bytes(b"")
    with pytest.raises(ModelError, match="version 1 can't be served, the champion stays"):
        roll(here)
    assert version(here, 2).aliases == ("champion",)
    assert promotion.ROLLED_BACK not in version(here, 2).tags


def test_rollback_without_a_champion_or_one_before_it_says_so(tmp_path: Path) -> None:
    here = checkout(tmp_path)
    with pytest.raises(ModelError, match="no champion to roll back: run `make pipeline`"):
        roll(here)
    evaluated(tmp_path)
    register.run(here)
    with pytest.raises(ModelError, match=r"version 1 is the first champion.*the only version"):
        roll(here)
