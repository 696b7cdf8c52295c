"""List the model versions: aliases, data, NDCG@10, what the gate said; and where to look further."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pipelines.context import Context
from pipelines.io import services
from pipelines.io.models import promotion, registry
from pipelines.io.models.registry import Known
from pipelines.settings import Settings

REPORT: Final = Path("data/reports/evaluation/report.md")
CARD: Final = Path("data/registered/model_card.html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare how many."""
    parser.add_argument("--newest", type=int, default=10, metavar="N", help="so many versions (default %(default)s)")


def run(context: Context) -> None:
    """Print them, the newest first.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    uri = context.settings.mlflow_tracking_uri
    versions = registry.known(uri)
    newest = versions[::-1][: context.args.newest]
    metrics = registry.metrics(uri, [version.run_id for version in newest])
    header = ("VERSION", "ALIASES", "EVENTS BEFORE", "FEATURES", "NDCG@10", "POPULARITY")
    rows = [_row(version, metrics[version.run_id]) for version in newest]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        _print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    _print("")
    for line in _where(context.settings, versions):
        _print(line)


def _row(version: Known, metrics: dict[str, float]) -> Sequence[str]:
    aliases = list(version.aliases) + (["rolled back"] if promotion.ROLLED_BACK in version.tags else [])
    scores = [
        f"{metrics[key]:.4f}" if (key := f"{m}/ndcg_at_10") in metrics else "" for m in ("recomart", "popularity")
    ]
    return str(version.number), ", ".join(aliases), version.tags.get("cut", "")[:16], version.feature_service, *scores


def _where(settings: Settings, versions: Sequence[Known]) -> Iterator[str]:
    if versions:
        newest = versions[-1]
        reasons = newest.tags.get(promotion.GATE, "").splitlines()
        yield from (f"gate       version {newest.number} {reason}" for reason in reasons)
    for name, path in (("report", REPORT), ("card", CARD)):
        if (settings.root / path).exists():
            yield f"{name:10} {settings.root / path}"
    yield f"MLflow     {_mlflow(settings)}"


def _mlflow(settings: Settings) -> str:
    """Where its pages are."""
    if settings.mlflow_tracking_uri.startswith("http"):
        return settings.mlflow_tracking_uri
    pages = (program.address for program in services.running(settings.root) if program.name == "mlflow")
    return next(pages, "`make ui` starts its pages")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
