"""The model card: what a model is for, what it was made of, how good it is and where it ends. As Markdown and HTML."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from pipelines.core.evaluation import card_tables
from pipelines.core.evaluation.card_tables import HEADLINE
from pipelines.core.evaluation.comparison import OURS
from pipelines.core.evaluation.gate import BASELINE, NOT_COMPARED, Decision
from pipelines.core.models.bundle import Bundle
from pipelines.io.files import read_json
from pipelines.io.models.lineage import VALIDATION
from pipelines.io.models.training_data import SPLIT

MARKDOWN: Final = "model_card.md"
HTML: Final = "model_card.html"
TEMPLATES: Final = Path(__file__).with_name("cards")
INPUTS: Final = 12
"""Inputs of the ranker that are named."""


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` wrote."""

    metrics: Mapping[str, Any]
    """Model -> metric@k -> value, and ``users``."""
    verdicts: Mapping[str, Any]
    """Other model -> difference, low, high."""
    report: Path
    """Folder of the report, its tables and pictures."""

    def optional(self, name: str) -> Any:
        """A further JSON file of the report; None where there is none."""
        path = self.report / name
        return read_json(path) if path.exists() else None


def markdown(
    root: Path, bundle: Bundle, sha256: str, evaluated: Evaluated, decision: Decision, lineage: Mapping[str, Any]
) -> str:
    """The card of ``bundle``, whose hash is ``sha256``; what wasn't measured or recorded is left out."""
    split, validation = _read(root / SPLIT), _read(root / VALIDATION)
    days = sorted((validation or {}).get("days", {}))
    ours, users = evaluated.metrics[OURS], evaluated.metrics["users"]
    slices, ablation = evaluated.optional("slices.json"), evaluated.optional("ablation.json")
    facts = {
        "name": sha256[:12],
        "summary": f"NDCG@{card_tables.K} {ours[HEADLINE]:.4f} over {users:,} users; recent popularity has "
        f"{evaluated.metrics[BASELINE][HEADLINE]:.4f}.",
        "decision": decision,
        "manifest": bundle.manifest,
        "params": bundle.manifest["params"],
        "settings": yaml.safe_dump(bundle.manifest["params"], sort_keys=False, default_flow_style=None, width=110),
        "users": len(bundle.user_ids),
        "items": len(bundle.item_ids),
        "pairs": len(bundle.histories.item_idx),
        "validation": validation,
        "first_day": days[0] if days else "",
        "last_day": days[-1] if days else "",
        "split": split,
        "metrics": card_tables.metrics(evaluated.metrics),
        "verdicts": card_tables.differences(evaluated.verdicts),
        "not_compared": evaluated.verdicts.get(NOT_COMPARED),
        "slices": card_tables.slices(slices, OURS, BASELINE) if slices else "",
        "ablation": card_tables.ablation(ablation) if ablation else "",
        "importance": card_tables.importance(_importance(evaluated.report / "importance.csv")),
        "bias": card_tables.bias(evaluated.metrics, OURS, BASELINE),
        "bundle_sha256": sha256,
        "code": lineage["code"],
        "raw_files": sum(map(len, lineage["raw"].values())),
    }
    return _environment(autoescape=False).get_template("model_card.md.jinja").render(facts) + "\n"


def html(text: str, report: Path) -> str:
    """The card as one page that needs nothing else, with the pictures of ``report``."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    pictures = {path.stem.replace("_", " "): _data_url(path) for path in sorted(report.glob("*.png"))}
    page: str = _environment(autoescape=True).get_template("model_card.html.jinja").render(body=body, pictures=pictures)
    return page + "\n"


def _environment(autoescape: bool) -> Any:
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=autoescape, trim_blocks=True, lstrip_blocks=True)
    environment.filters["thousands"] = lambda count: f"{count:,}"
    return environment


def _data_url(png: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode("ascii")


def _read(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _importance(path: Path) -> list[tuple[str, float]]:
    """What the ranker goes by most; nothing where no tree was worth it."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    named = [line.rpartition(",") for line in lines[:INPUTS]]
    return [(name, float(gain)) for name, _, gain in named]
