import pickletools
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ModelError, ServiceError
from pipelines.io import mlflow_runs
from pipelines.io.models import bundles, registry
from tests.core.board import bundle, events

pytestmark = pytest.mark.slow  # MLflow lays out a new database


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('ml flow')}/deep/mlflow.db"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "final"
    bundles.save(bundle(), path)
    return path


def register(uri: str, folder: Path) -> registry.Version:
    return registry.register(
        uri, folder, description="d", metrics={"recomart/ndcg_at_10": 0.5}, params={"seed": "7"}, tags={"cut": "now"}
    )


def test_registry_without_a_database_has_no_champion_and_makes_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert registry.champion(uri) is None
    assert not mlflow_runs.holds(uri, 1, "run")
    assert not list(tmp_path.iterdir())


def test_register_then_name_then_fetch(uri: str, folder: Path, tmp_path: Path) -> None:
    version = register(uri, folder)
    registry.name_alias(uri, version.number, registry.CHAMPION)
    assert registry.champion(uri) == version.number
    assert mlflow_runs.holds(uri, version.number, version.run_id)
    assert not mlflow_runs.holds(uri, version.number + 1, version.run_id)
    fetched = registry.fetch(uri, version.number, tmp_path / "fetched")
    assert bundles.digest(fetched) == bundles.digest(folder)
    assert bundles.load(fetched).user_idx("u03") == 3


def test_register_of_the_same_bundle_makes_no_new_version(uri: str, folder: Path) -> None:
    first, again = register(uri, folder), register(uri, folder)
    assert (again.number, again.run_id) == (first.number, first.run_id)
    assert not again.created


def test_register_of_another_bundle_makes_a_new_version(uri: str, folder: Path, tmp_path: Path) -> None:
    more = {**events().slice(0, 1).to_pylist()[0], "event_id": "more", "event_type": "purchase"}
    bundles.save(bundle(more), tmp_path / "other")
    assert register(uri, tmp_path / "other").number > register(uri, folder).number


def test_model_without_alias_has_no_champion(folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    register(uri, folder)
    assert registry.champion(uri) is None


def test_fetch_keeps_what_is_there_already(uri: str, folder: Path, tmp_path: Path) -> None:
    number = register(uri, folder).number
    registry.fetch(uri, number, tmp_path / "b")
    before = (tmp_path / "b/manifest.json").stat().st_mtime_ns
    registry.fetch(uri, number, tmp_path / "b")
    assert (tmp_path / "b/manifest.json").stat().st_mtime_ns == before


def test_fetch_of_a_changed_artifact_fails_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    number = register(uri, folder).number
    (manifest,) = (tmp_path / "artifacts").rglob("manifest.json")
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(ModelError, match="isn't the one that was registered"):
        registry.fetch(uri, number, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_fetch_of_a_lost_bundle_says_so(folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    number = register(uri, folder).number
    (manifest,) = (tmp_path / "artifacts").rglob("manifest.json")
    shutil.rmtree(manifest.parent)
    with pytest.raises(ModelError, match="version 1: its bundle is gone"):
        registry.fetch(uri, number, tmp_path / "b")


def test_registered_artifacts_hold_no_pickle(folder: Path, tmp_path: Path) -> None:
    register(f"sqlite:///{tmp_path}/mlflow.db", folder)
    files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {"", ".json", ".npy", ".txt", ".yaml"}
    for path in files:
        with pytest.raises(ValueError):  # whichever byte is the first that no pickle has
            list(pickletools.genops(path.read_bytes()))
        if path.suffix == ".npy":
            assert np.load(path, allow_pickle=False).dtype != object


def test_registered_versions_are_found_by_number_and_alias(uri: str, folder: Path) -> None:
    number = register(uri, folder).number
    registry.name_alias(uri, number, registry.CHAMPION)
    versions = registry.known(uri)
    assert registry.named(versions, "champion") == registry.named(versions, str(number))
    with pytest.raises(ModelError, match=f"no model version 'nobody'; there are: {number} champion"):
        registry.named(versions, "nobody")


def test_fetch_of_an_unknown_version_is_a_service_error(uri: str, folder: Path, tmp_path: Path) -> None:
    register(uri, folder)
    with pytest.raises(ServiceError, match="version=99"):
        registry.fetch(uri, 99, tmp_path / "b")
