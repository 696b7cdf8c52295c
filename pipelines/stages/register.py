"""Log the run with lineage and model card, register the bundle in MLflow, and let the gate decide who is champion."""

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.evaluation import gate
from pipelines.core.evaluation.gate import Decision, Entrant
from pipelines.io.files import read_json, write_json, write_text
from pipelines.io.mlflow_runs import flat_metrics, flat_params
from pipelines.io.models import bundles, configuration, lineage, model_card, promotion, registry
from pipelines.io.models.model_card import Evaluated
from pipelines.io.models.registry import Known
from pipelines.io.receipts import REGISTERED

log = logging.getLogger(__name__)

BUNDLE: Final = Path("data/models/final")
METRICS: Final = Path("data/reports/metrics.json")
REPORT: Final = Path("data/reports/evaluation")
VERDICTS: Final = "verdicts.json"
SLICES: Final = "slices.json"
CONFIGURATION: Final = "configuration"
"""Tag: what names everything but the data that a model is made of."""


def run(context: Context) -> None:
    """Register ``data/models/final`` with its evaluation, and write ``data/registered``: receipt.json, model_card.md

    and .html. A bundle that is registered already is judged anew, unless it is champion or was rolled back.

    Raises:
        InputError: it hasn't been evaluated.
        ServiceError: MLflow doesn't answer.
    """
    started = time.monotonic()
    root, uri = context.root, context.settings.mlflow_tracking_uri
    evaluated = _evaluated(root)
    bundle, sha256 = bundles.load(root / BUNDLE), bundles.digest(root / BUNDLE)
    params = context.params.model_dump(mode="json")
    document = lineage.record(root, params, running="register")
    tags = _tags(root, bundle.manifest, document["code"]["git_commit"])
    known = registry.known(uri)
    decision = _decision(evaluated.verdicts, known, sha256, tags)
    card = model_card.markdown(root, bundle, sha256, evaluated, decision, document)
    cards = {model_card.MARKDOWN: card, model_card.HTML: model_card.html(card, evaluated.report)}
    version = registry.register(
        uri,
        root / BUNDLE,
        description="",
        metrics=flat_metrics({**evaluated.metrics, "slice": evaluated.optional(SLICES) or {}}),
        params=flat_params(params),
        tags=tags,
        reports=evaluated.report,
        lineage=document,
        texts=cards,
    )
    alias = registry.CHAMPION if decision.promoted else registry.CHALLENGER
    promotion.settle(uri, version.number, decision, _description(evaluated.metrics, alias, decision))
    for name, text in cards.items():
        write_text((root / REGISTERED).with_name(name), text)
    receipt = {
        "version": version.number,
        "run_id": version.run_id,
        "bundle_sha256": sha256,
        "alias": alias,
        "reasons": list(decision.reasons),
    }
    write_json(root / REGISTERED, receipt)
    news = "registered" if version.created else "was registered before"
    say = log.warning if decision.doubtful or not decision.promoted else log.info
    say("%s: %s", alias, "; ".join(decision.reasons))
    log.info("model version %d %s, %s, %.1f s", version.number, news, alias, time.monotonic() - started)


def _evaluated(root: Path) -> Evaluated:
    for path in (root / METRICS, root / REPORT / VERDICTS):
        if not path.exists():
            raise InputError(f"{path} is missing: run `python -m pipelines evaluate`")
    return Evaluated(read_json(root / METRICS), read_json(root / REPORT / VERDICTS), root / REPORT)


def _decision(verdicts: Mapping[str, Any], known: list[Known], sha256: str, tags: Mapping[str, str]) -> Decision:
    """The gate's. What stands already stays: the champion is it, and what was rolled back doesn't come by itself."""
    champion = promotion.holder(known, registry.CHAMPION)
    standing = next((version for version in known if version.tags.get(registry.HASH) == sha256), None)
    if standing is not None and standing == champion:
        return Decision(True, tuple(standing.tags.get(promotion.GATE, "is the champion").splitlines()))
    if standing is not None and promotion.ROLLED_BACK in standing.tags:
        left = standing.tags[promotion.ROLLED_BACK]
        return Decision(False, (f"was rolled back {left}; `python -m pipelines rollback --to` brings it back",))
    entrant = Entrant(None, tags[CONFIGURATION], datetime.fromisoformat(tags["cut"]))
    return gate.decide(verdicts, entrant, _entrant(champion) if champion else None)


def _entrant(version: Known) -> Entrant:
    return Entrant(version.number, version.tags.get(CONFIGURATION, ""), datetime.fromisoformat(version.tags["cut"]))


def _description(metrics: Mapping[str, Any], alias: str, decision: Decision) -> str:
    """What MLflow's page of the version shows; the rest is in the run's model card."""
    lines = [f"- {model}: {values['ndcg@10']:.4f}" for model, values in metrics.items() if isinstance(values, dict)]
    why = "\n".join(f"- {reason}" for reason in decision.reasons)
    users = f"NDCG@10 over {metrics['users']} users of the newest window"
    return f"**{alias}**\n\n{why}\n\n{users}:\n\n" + "\n".join(lines) + "\n\nMore in the run: model_card.html, report/."


def _tags(root: Path, manifest: Mapping[str, Any], commit: str | None) -> dict[str, str]:
    return {
        registry.DATA_HASH: manifest["data_sha256"],
        registry.SERVICE: manifest["feature_service"],
        "sources": ", ".join(manifest["sources"]),
        "cut": manifest["cut"],
        CONFIGURATION: configuration.name(root, manifest),
    } | ({"git_commit": commit} if commit else {})
