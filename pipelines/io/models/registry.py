"""The model registry: MLflow's, holding bundles as plain artifacts. The alias ``champion`` is what the service runs."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import ModelError
from pipelines.io import mlflow_runs
from pipelines.io.files import read_json, remove, replacing
from pipelines.io.models import mlflow_flavor
from pipelines.io.models.bundles import MANIFEST, digest

NAME: Final = mlflow_runs.NAME
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
"""Alias of the version that was champion before the champion was promoted; a rollback takes it away."""
MODEL: Final = "model"
"""Artifact folder of the model within its run."""
BUNDLE: Final = f"{MODEL}/{mlflow_flavor.DATA}"
HASH: Final = "bundle_sha256"
DATA_HASH: Final = "data_sha256"
"""Tag: what names the events that the model learned from."""
SERVICE: Final = "feature_service"
"""Tag that names what the model reads."""
LINEAGE: Final = "lineage.json"
"""Artifact that says where the model comes from (core/evaluation/lineage.py)."""


@dataclass(frozen=True)
class Version:
    """A registered model version."""

    number: int
    run_id: str
    created: bool
    """False where this very bundle had been registered before."""


@dataclass(frozen=True)
class Known:
    """A version that the registry holds, with the aliases that name it."""

    number: int
    run_id: str
    aliases: tuple[str, ...]
    feature_service: str
    """What it reads."""
    tags: Mapping[str, str]
    description: str = ""


def register(
    tracking_uri: str,
    bundle_folder: Path,
    *,
    description: str,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    tags: Mapping[str, str],
    reports: Path | None = None,
    lineage: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Version:
    """Log a run with the bundle and register it as a new version; the same bundle is never registered twice.

    The bundle is logged as a model of MLflow, with ``reports`` (a folder) as ``report/`` beside it, and ``texts``: file
    name -> content. A version comes only after its run is whole.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    sha256 = digest(bundle_folder)
    with mlflow_runs.client_of(tracking_uri) as client:
        _ensure_model(client)
        for known in client.search_model_versions(f"name = '{NAME}'"):
            if known.tags.get(HASH) == sha256:
                return Version(int(known.version), known.run_id, created=False)
        tagged = {**tags, HASH: sha256}
        with mlflow_runs.logged(client, tracking_uri, NAME, metrics, params, tagged, sha256[:12]) as run_id:
            if DATA_HASH in tags:
                mlflow_runs.log_dataset(client, run_id, NAME, tags[DATA_HASH])
            _log_model(client, run_id, bundle_folder)
            if reports is not None:
                client.log_artifacts(run_id, str(reports), "report")
            if lineage is not None:
                client.log_dict(run_id, dict(lineage), LINEAGE)
            for name, text in (texts or {}).items():
                client.log_text(run_id, text, name)
        source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL}"
        version = client.create_model_version(NAME, source, run_id, tags=tagged, description=description)
        return Version(int(version.version), run_id, created=True)


def _log_model(client: Any, run_id: str, bundle_folder: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        said = mlflow_flavor.describe(Path(folder), run_id, MODEL)
        client.log_artifacts(run_id, folder, MODEL)
    client.log_artifacts(run_id, str(bundle_folder), BUNDLE)
    client.set_tag(run_id, "mlflow.log-model.history", json.dumps([said]))  # by it MLflow's pages know it is a model


def name_alias(tracking_uri: str, version: int, alias: str) -> None:
    """Let ``alias`` name ``version``, and no other.

    Raises:
        ServiceError: MLflow doesn't answer, or has no such version.
    """
    with mlflow_runs.client_of(tracking_uri) as client:
        client.set_registered_model_alias(NAME, alias, str(version))


def champion(tracking_uri: str) -> int | None:
    """The version that the alias ``champion`` names; None where there is none yet.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    return aliases(tracking_uri).get(CHAMPION)


def aliases(tracking_uri: str) -> dict[str, int]:
    """Alias -> the version that it names, by one question; none where nothing is registered yet.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    if (file := mlflow_runs.sqlite_file(tracking_uri)) and not file.exists():
        return {}
    from mlflow.exceptions import MlflowException

    with mlflow_runs.client_of(tracking_uri) as client:
        try:
            named = client.get_registered_model(NAME).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {alias: int(version) for alias, version in named.items()}


def known(tracking_uri: str) -> list[Known]:
    """Every version, the oldest first.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    if (file := mlflow_runs.sqlite_file(tracking_uri)) and not file.exists():
        return []
    with mlflow_runs.client_of(tracking_uri) as client:
        found = client.search_model_versions(f"name = '{NAME}'")
        # a search leaves the aliases out
        by_alias = client.get_registered_model(NAME).aliases if found else {}
        named: dict[int, list[str]] = {}
        for alias in sorted(by_alias):
            named.setdefault(int(by_alias[alias]), []).append(alias)
        by_number = sorted(found, key=lambda one: int(one.version))
        return [
            Known(
                int(one.version),
                one.run_id,
                tuple(named.get(int(one.version), ())),
                one.tags.get(SERVICE, ""),
                dict(one.tags),
                one.description or "",
            )
            for one in by_number
        ]


def named(versions: Sequence[Known], wanted: str) -> Known:
    """The version of a number or alias.

    Raises:
        ModelError: there is none.
    """
    for version in versions:
        if wanted in (str(version.number), *version.aliases):
            return version
    there = ", ".join(" ".join([str(version.number), *version.aliases]) for version in versions)
    raise ModelError(f"there is no model version {wanted!r}; there are: {there or 'none yet, run `make pipeline`'}")


def lineage(tracking_uri: str, run_id: str) -> dict[str, Any] | None:
    """What a version's run recorded of where it comes from; None where it was registered before that was recorded.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    with mlflow_runs.client_of(tracking_uri) as client, tempfile.TemporaryDirectory() as folder:
        if not any(one.path == LINEAGE for one in client.list_artifacts(run_id)):
            return None
        found: dict[str, Any] = read_json(Path(client.download_artifacts(run_id, LINEAGE, folder)))
        return found


def metrics(tracking_uri: str, run_ids: Sequence[str]) -> dict[str, dict[str, float]]:
    """Run -> what was measured of its model.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    if not run_ids:
        return {}
    with mlflow_runs.client_of(tracking_uri) as client:
        return {run_id: dict(client.get_run(run_id).data.metrics) for run_id in run_ids}


def fetch(tracking_uri: str, version: int, destination: Path) -> Path:
    """Copy a version's bundle to the folder ``destination``, whole or not at all; what is there already stays.

    Raises:
        ServiceError: MLflow doesn't answer, or has no such version.
        ModelError: it is gone, or what arrived isn't what was registered.
    """
    with mlflow_runs.client_of(tracking_uri) as client:
        known = client.get_model_version(NAME, str(version))
        expected = known.tags.get(HASH)
        if (destination / MANIFEST).exists() and digest(destination) == expected:
            return destination
        if not any(one.path == f"{BUNDLE}/{MANIFEST}" for one in client.list_artifacts(known.run_id, BUNDLE)):
            raise ModelError(f"model version {version}: its bundle is gone from MLflow's artifacts")
        with replacing(destination) as temporary:
            temporary.mkdir()
            arrived = Path(client.download_artifacts(known.run_id, BUNDLE, str(temporary)))
            for file in sorted(arrived.iterdir()):
                file.rename(temporary / file.name)
            remove(temporary / MODEL)
            if not (temporary / MANIFEST).exists() or digest(temporary) != expected:
                raise ModelError(f"model version {version}: its bundle isn't the one that was registered; train again")
    return destination


def _ensure_model(client: Any) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(NAME, description="RecoMart's bundles: candidate sources and ranker.")
