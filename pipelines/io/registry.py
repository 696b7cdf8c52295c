"""The model registry: MLflow's, holding bundles as plain artifacts. The alias ``champion`` is what the service runs."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import ModelError, ServiceError
from pipelines.io.bundles import MANIFEST, digest
from pipelines.io.files import read_json, replacing

NAME: Final = "recomart"
"""The experiment and the registered model."""
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
BUNDLE: Final = "bundle"
"""Artifact folder of the bundle within its run."""
HASH: Final = "bundle_sha256"
METRICS_AT_ONCE: Final = 1000
"""MLflow's limit."""
SERVICE: Final = "feature_service"
"""Tag that names what the model reads."""
LINEAGE: Final = "lineage.json"
"""Artifact that says where the model comes from (core/lineage.py)."""


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
) -> Version:
    """Log a run with the bundle and register it as a new version; the same bundle is never registered twice.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    sha256 = digest(bundle_folder)
    with _client(tracking_uri) as client:
        _ensure_model(client)
        for known in client.search_model_versions(f"name = '{NAME}'"):
            if known.tags.get(HASH) == sha256:
                return Version(int(known.version), known.run_id, created=False)
        run_id = _log_run(
            client, tracking_uri, bundle_folder, metrics, params, {**tags, HASH: sha256}, reports, lineage
        )
        source = f"{client.get_run(run_id).info.artifact_uri}/{BUNDLE}"
        version = client.create_model_version(
            NAME, source, run_id, tags={**tags, HASH: sha256}, description=description
        )
        return Version(int(version.version), run_id, created=True)


def name_alias(tracking_uri: str, version: int, alias: str) -> None:
    """Let ``alias`` name ``version``, and no other.

    Raises:
        ServiceError: MLflow doesn't answer, or has no such version.
    """
    with _client(tracking_uri) as client:
        client.set_registered_model_alias(NAME, alias, str(version))


def champion(tracking_uri: str) -> int | None:
    """The version that the alias ``champion`` names; None where there is none yet.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    if (file := _sqlite_file(tracking_uri)) and not file.exists():
        return None
    from mlflow.exceptions import MlflowException

    with _client(tracking_uri) as client:
        try:
            return int(client.get_model_version_by_alias(NAME, CHAMPION).version)
        except MlflowException as error:
            # The store says INVALID_PARAMETER_VALUE where the model is there and the alias isn't.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def log_run(
    tracking_uri: str, experiment: str, metrics: Mapping[str, float], params: Mapping[str, str], files: Sequence[Path]
) -> str:
    """Log a run of ``experiment`` with ``files`` as its artifacts; returns the run's id.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    from mlflow.entities import Metric, Param, RunStatus

    with _client(tracking_uri) as client:
        run = client.create_run(_experiment(client, tracking_uri, experiment))
        values = [Metric(name, value, run.info.start_time, 0) for name, value in metrics.items()]
        for start in range(0, len(values), METRICS_AT_ONCE):
            client.log_batch(run.info.run_id, metrics=values[start : start + METRICS_AT_ONCE])
        client.log_batch(run.info.run_id, params=[Param(name, value) for name, value in params.items()])
        for file in files:
            client.log_artifact(run.info.run_id, str(file))
        client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.FINISHED))
        return str(run.info.run_id)


def holds(tracking_uri: str, version: int, run_id: str) -> bool:
    """Whether the registry has this version of this run.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    if (file := _sqlite_file(tracking_uri)) and not file.exists():
        return False
    with _client(tracking_uri) as client:
        known = client.search_model_versions(f"name = '{NAME}' and run_id = '{run_id}'")
        return any(int(one.version) == version for one in known)


def known(tracking_uri: str) -> list[Known]:
    """Every version, the oldest first.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    if (file := _sqlite_file(tracking_uri)) and not file.exists():
        return []
    with _client(tracking_uri) as client:
        found = client.search_model_versions(f"name = '{NAME}'")
        # a search leaves the aliases out
        aliases = client.get_registered_model(NAME).aliases if found else {}
        named: dict[int, list[str]] = {}
        for alias in sorted(aliases):
            named.setdefault(int(aliases[alias]), []).append(alias)
        by_number = sorted(found, key=lambda one: int(one.version))
        return [
            Known(int(one.version), one.run_id, tuple(named.get(int(one.version), ())), one.tags.get(SERVICE, ""))
            for one in by_number
        ]


def lineage(tracking_uri: str, run_id: str) -> dict[str, Any] | None:
    """What a version's run recorded of where it comes from; None where it was registered before that was recorded.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    with _client(tracking_uri) as client, tempfile.TemporaryDirectory() as folder:
        if not any(one.path == LINEAGE for one in client.list_artifacts(run_id)):
            return None
        found: dict[str, Any] = read_json(Path(client.download_artifacts(run_id, LINEAGE, folder)))
        return found


def fetch(tracking_uri: str, version: int, destination: Path) -> Path:
    """Copy a version's bundle to the folder ``destination``, whole or not at all; what is there already stays.

    Raises:
        ServiceError: MLflow doesn't answer, or has no such version.
        ModelError: what arrived isn't what was registered.
    """
    with _client(tracking_uri) as client:
        known = client.get_model_version(NAME, str(version))
        expected = known.tags.get(HASH)
        if (destination / MANIFEST).exists() and digest(destination) == expected:
            return destination
        with replacing(destination) as temporary:
            temporary.mkdir()
            (Path(client.download_artifacts(known.run_id, BUNDLE, str(temporary)))).rename(temporary / "arrived")
            for file in sorted((temporary / "arrived").iterdir()):
                file.rename(temporary / file.name)
            (temporary / "arrived").rmdir()
            if not (temporary / MANIFEST).exists() or digest(temporary) != expected:
                raise ModelError(f"model version {version}: its bundle isn't the one that was registered; train again")
    return destination


def _log_run(
    client: Any,
    tracking_uri: str,
    bundle_folder: Path,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    tags: Mapping[str, str],
    reports: Path | None,
    lineage: Mapping[str, Any] | None,
) -> str:
    from mlflow.entities import Metric, Param

    run = client.create_run(_experiment(client, tracking_uri), tags=dict(tags), run_name=tags[HASH][:12])
    run_id: str = run.info.run_id
    status = "FAILED"
    try:
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, run.info.start_time, 0) for name, value in metrics.items()],
            params=[Param(name, value) for name, value in params.items()],
        )
        client.log_artifacts(run_id, str(bundle_folder), BUNDLE)
        if reports is not None:
            client.log_artifacts(run_id, str(reports), "report")
        if lineage is not None:
            client.log_dict(run_id, dict(lineage), LINEAGE)
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)
    return run_id


def _experiment(client: Any, tracking_uri: str, name: str = NAME) -> str:
    """The experiment's id; with SQLite its artifacts lie beside the database, elsewhere the server decides."""
    if known := client.get_experiment_by_name(name):
        return str(known.experiment_id)
    file = _sqlite_file(tracking_uri)
    return str(client.create_experiment(name, (file.parent / "artifacts").as_uri() if file else None))


def _ensure_model(client: Any) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(NAME, description="RecoMart's bundles: candidate sources and ranker.")


@contextmanager
def _client(tracking_uri: str) -> Iterator[Any]:
    """MLflow's client, silent, and giving up within seconds; its errors become ours."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SADeprecationWarning, SQLAlchemyError

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=SADeprecationWarning, module="mlflow")
    if file := _sqlite_file(tracking_uri):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ServiceError(f"MLflow at {tracking_uri}: {first_line}") from error


def _sqlite_file(tracking_uri: str) -> Path | None:
    return Path(tracking_uri.removeprefix("sqlite:///")) if tracking_uri.startswith("sqlite:///") else None
