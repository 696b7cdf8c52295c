"""MLflow's client, and runs in it that end as what they were."""

import logging
import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import ServiceError

NAME: Final = "recomart"
"""The experiment and the registered model."""
METRICS_AT_ONCE: Final = 1000
PARAMS_AT_ONCE: Final = 100
DIGEST_LENGTH: Final = 36
"""MLflow's limits."""
KIND: Final = "mlflow.experimentKind"
"""Tag of an experiment by which MLflow's pages show models, not prompts and traces."""
PARENT: Final = "mlflow.parentRunId"
"""Tag by which a run is shown below another."""


def log_run(
    tracking_uri: str, experiment: str, metrics: Mapping[str, float], params: Mapping[str, str], files: Sequence[Path]
) -> str:
    """Log a run of ``experiment`` with ``files`` as its artifacts; returns the run's id.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    with client_of(tracking_uri) as client, logged(client, tracking_uri, experiment, metrics, params) as run_id:
        for file in files:
            client.log_artifact(run_id, str(file))
    return run_id


@contextmanager
def logged(
    client: Any,
    tracking_uri: str,
    experiment: str,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    tags: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Iterator[str]:
    """The id of a new run with these values; it ends with the block, as failed where that fails."""

    run = client.create_run(_experiment(client, tracking_uri, experiment), tags=dict(tags or {}), run_name=name)
    run_id: str = run.info.run_id
    status = "FAILED"
    try:
        log_values(client, run_id, metrics, params)
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


def log_values(client: Any, run_id: str, metrics: Mapping[str, float], params: Mapping[str, str]) -> None:
    """Log metrics and parameters of a run that goes on, as many at once as MLflow takes."""
    from mlflow.entities import Metric, Param

    now = int(1000 * time.time())
    values = [Metric(name, value, now, 0) for name, value in metrics.items()]
    for start in range(0, len(values), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=values[start : start + METRICS_AT_ONCE])
    texts = [Param(name, value) for name, value in params.items()]
    for start in range(0, len(texts), PARAMS_AT_ONCE):
        client.log_batch(run_id, params=texts[start : start + PARAMS_AT_ONCE])


def log_dataset(client: Any, run_id: str, name: str, sha256: str) -> None:
    """Say which data a run learned from: MLflow shows it beside the run, and finds all runs of the same data."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name, sha256[:DIGEST_LENGTH], source_type="sha256", source=sha256)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def flat_metrics(nested: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of nested mappings under its path, ``recomart/ndcg_at_10``, in the characters that MLflow takes."""
    found: dict[str, float] = {}
    for name, value in nested.items():
        path = f"{prefix}/{_plain(str(name))}".lstrip("/")
        if isinstance(value, Mapping):
            found |= flat_metrics(value, path)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[path] = float(value)
    return found


def flat_params(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """``candidates.svd.factors`` -> ``80``, and so on."""
    found: dict[str, str] = {}
    for name, value in nested.items():
        path = f"{prefix}.{name}".lstrip(".")
        found |= flat_params(value, path) if isinstance(value, Mapping) else {path: str(value)}
    return found


@contextmanager
def client_of(tracking_uri: str) -> Iterator[Any]:
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
    if file := sqlite_file(tracking_uri):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ServiceError(f"MLflow at {tracking_uri}: {first_line}") from error


def sqlite_file(tracking_uri: str) -> Path | None:
    """The database's file, where MLflow is a SQLite database."""
    return Path(tracking_uri.removeprefix("sqlite:///")) if tracking_uri.startswith("sqlite:///") else None


def holds(tracking_uri: str, version: int, run_id: str) -> bool:
    """Whether the registry has this version of this run.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    if (file := sqlite_file(tracking_uri)) and not file.exists():
        return False
    with client_of(tracking_uri) as client:
        known = client.search_model_versions(f"name = '{NAME}' and run_id = '{run_id}'")
        return any(int(one.version) == version for one in known)


def _plain(name: str) -> str:
    return re.sub(r"[^\w. -]+", "_", name.replace("@", "_at_"), flags=re.ASCII).strip()


def _experiment(client: Any, tracking_uri: str, name: str) -> str:
    """The experiment's id. Its artifacts lie beside the database, or in the checkout; a server decides itself."""
    if known := client.get_experiment_by_name(name):
        return str(known.experiment_id)
    location = None
    if not tracking_uri.startswith(("http:", "https:")):
        file = sqlite_file(tracking_uri)
        folder = file.parent if file else Path.cwd() / "data/services/mlflow"
        location = (folder / "artifacts").as_uri()
    return str(client.create_experiment(name, location, {KIND: "custom_model_development"}))
