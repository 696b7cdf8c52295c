"""Log the run with its lineage and register the bundle in MLflow; it becomes champion if it beats popularity."""

import logging
import time
from pathlib import Path
from typing import Any, Final

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.io import bundles, lineage, registry
from pipelines.io.files import read_json, write_json
from pipelines.io.receipts import REGISTERED
from pipelines.params import Params

log = logging.getLogger(__name__)

BUNDLE: Final = Path("data/models/final")
METRICS: Final = Path("data/reports/metrics.json")
REPORT: Final = Path("data/reports/evaluation")


def run(context: Context) -> None:
    """Register ``data/models/final`` with its evaluation, and write ``data/registered/receipt.json``.

    Raises:
        InputError: it hasn't been evaluated.
        ServiceError: MLflow doesn't answer.
    """
    started = time.monotonic()
    root, uri = context.root, context.settings.mlflow_tracking_uri
    if not (root / METRICS).exists():
        raise InputError(f"{root / METRICS} is missing: run `python -m pipelines evaluate`")
    measured = read_json(root / METRICS)
    bundle = bundles.load(root / BUNDLE)
    version = registry.register(
        uri,
        root / BUNDLE,
        description=(root / REPORT / "report.md").read_text(encoding="utf-8"),
        metrics=_flat(measured),
        params=_plain(context.params),
        tags=_tags(root, dict(bundle.manifest)),
        reports=root / REPORT,
        lineage=lineage.record(root, context.params.model_dump(mode="json"), running="register"),
    )
    alias = _alias(measured, registry.champion(uri), version.number)
    registry.name_alias(uri, version.number, alias)
    receipt = {
        "version": version.number,
        "run_id": version.run_id,
        "bundle_sha256": bundles.digest(root / BUNDLE),
        "alias": alias,
    }
    write_json(root / REGISTERED, receipt)
    news = "registered" if version.created else "was registered before"
    log.info("model version %d %s, %s, %.1f s", version.number, news, alias, time.monotonic() - started)


def _alias(measured: dict[str, Any], champion: int | None, version: int) -> str:
    """Champion if it beats popularity, or if the service would have nothing to run."""
    ours, popular = measured["recomart"]["ndcg@10"], measured["popularity"]["ndcg@10"]
    if ours > popular:
        return registry.CHAMPION
    if champion is None or champion == version:
        log.warning(
            "NDCG@10 %.4f doesn't beat popularity's %.4f; champion all the same, for want of another", ours, popular
        )
        return registry.CHAMPION
    log.warning("NDCG@10 %.4f doesn't beat popularity's %.4f: version %d stays champion", ours, popular, champion)
    return registry.CHALLENGER


def _flat(measured: dict[str, Any]) -> dict[str, float]:
    """MLflow's form: ``recomart/ndcg_at_10``."""
    models = {name: values for name, values in measured.items() if isinstance(values, dict)}
    flat = {f"{m}/{name.replace('@', '_at_')}": value for m, values in models.items() for name, value in values.items()}
    return {**flat, "users": measured["users"]}


def _plain(params: Params) -> dict[str, str]:
    """``candidates.svd.factors`` -> ``80``, and so on."""

    def walk(value: Any, path: str) -> dict[str, str]:
        if not isinstance(value, dict):
            return {path: str(value)}
        return {k: v for name, inner in value.items() for k, v in walk(inner, f"{path}.{name}".lstrip(".")).items()}

    return walk(params.model_dump(mode="json"), "")


def _tags(root: Path, manifest: dict[str, Any]) -> dict[str, str]:
    commit = lineage.code(root)["git_commit"]
    return {
        "data_sha256": manifest["data_sha256"],
        registry.SERVICE: manifest["feature_service"],
        "sources": ", ".join(manifest["sources"]),
        "cut": manifest["cut"],
    } | ({"git_commit": commit} if commit else {})
