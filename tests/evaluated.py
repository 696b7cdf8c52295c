"""A checkout whose model is trained and evaluated, by hand: the board's bundle with figures beside it."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.context import Context
from pipelines.core.models.ranking import Ranker
from pipelines.io.files import write_json, write_text
from pipelines.io.models import bundles
from pipelines.settings import Settings
from tests.core.board import bundle

CHECKOUT = Path(__file__).resolve().parents[1]
SCORES = {"ndcg@10": 0.2, "recall@10": 0.3, "coverage@10": 0.5}
BETTER = {"difference": 0.02, "low": 0.01, "high": 0.03, "p": 0.001}
EQUAL = {"difference": 0.001, "low": -0.002, "high": 0.004, "p": 0.6}
WORSE = {"difference": -0.02, "low": -0.03, "high": -0.01, "p": 0.001}


def checkout(root: Path, mlflow: str | None = None) -> Context:
    """A folder with params.yaml and nothing else, and settings that name MLflow there, or at ``mlflow``."""
    write_text(root / "params.yaml", (CHECKOUT / "params.yaml").read_text())
    uri = mlflow or f"sqlite:///{root}/data/services/mlflow/mlflow.db"
    return Context(argparse.Namespace(), Settings(root=root, mlflow_tracking_uri=uri))


def evaluated(root: Path, *, note: str = "", popularity: Any = BETTER, **verdicts: Any) -> None:
    """``data/models/final`` and what `evaluate` says of it; another ``note`` is another bundle of the same making."""
    made = bundle()
    ranker = Ranker(tuple(made.manifest["features"]), {"svd": 1.0}, None)
    manifest = made.manifest | {"params": made.manifest["params"] | {"candidates": {"per_source": 5}}, "note": note}
    bundles.save(replace(made, manifest=manifest, ranker=ranker), root / "data/models/final")
    report = root / "data/reports/evaluation"
    metrics = {"recomart": SCORES, "popularity": SCORES | {"ndcg@10": 0.1}, "users": 9}
    write_json(root / "data/reports/metrics.json", metrics)
    write_json(report / "verdicts.json", {"users": 9, "popularity": popularity} | verdicts)
    cold = {"users": 4, "ndcg@10": 0.15, "ndcg@10_low": 0.1, "ndcg@10_high": 0.2}
    write_json(report / "slices.json", {"recomart": {"cold users": cold}, "meaning": {"cold users": "at most 5 items"}})
    write_text(report / "importance.csv", "input,gain\nsvd_rank,0.75\n")
