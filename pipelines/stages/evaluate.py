"""Rank the whole catalogue for the users of the newest window; compare RecoMart with popularity and its own sources."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.context import Context
from pipelines.core import comparison, metrics, ranking
from pipelines.core.bundle import Bundle
from pipelines.core.columns import Col
from pipelines.core.comparison import BASELINE, OURS, Relevance
from pipelines.core.errors import ModelError
from pipelines.io import bundles, evaluation_report, plots, training_data
from pipelines.io.files import read_json, replacing
from pipelines.io.progress import progress

log = logging.getLogger(__name__)

HEADLINE: Final = 10
"""The cut-off of the metric that decides about promotion."""


def run(context: Context) -> None:
    """Write ``data/reports/metrics.json`` and ``data/reports/evaluation``, and print the table.

    Raises:
        InputError: there is no training data.
        ModelError: the bundle isn't one that the training data was assembled with.
    """
    started = time.monotonic()
    root, params = context.root, context.params
    bundle = bundles.load(root / "data/models/evaluation")
    split = training_data.split(root)
    if bundle.manifest["cut"] != split["evaluation"]["cut"]:
        raise ModelError(f"data/models was trained for another cut ({bundle.manifest['cut']}): train again")
    truth = training_data.truth(root)
    relevant = comparison.relevance(
        bundle, truth[Col.USER_ID].to_numpy().astype(str), truth[Col.ITEM_ID].to_numpy().astype(str)
    )
    ks = sorted({*params.evaluation.k, HEADLINE})
    ranked = _ranked(root, bundle, relevant, max(ks))
    models = {
        name: comparison.by_k(table, relevant, len(bundle.item_ids), range(1, max(ks) + 1))
        for name, table in ranked.items()
    }
    evaluation_report.write_metrics(root / "data/reports/metrics.json", models, ks, len(relevant.user_ids))
    importance = ranking.importance(bundle.ranker) if bundle.ranker else []
    with replacing(root / "data/reports/evaluation") as folder:
        folder.mkdir()
        evaluation_report.write_headlines(folder, models, HEADLINE)
        evaluation_report.write_curves(folder / "metric_by_k.csv", models)
        evaluation_report.write_importance(folder / "importance.csv", importance[:25])
        plots.save(plots.evaluation(models, importance), folder / "evaluation.png")
        sections = _sections(split, models, ks, _verdicts(ranked, relevant, params.seed), _check(root))
        evaluation_report.write_report(folder / "report.md", sections)
    print(evaluation_report.table(models, HEADLINE))  # noqa: T201
    log.info("%d users, %d models, %.1f s", len(relevant.user_ids), len(models), time.monotonic() - started)


def _ranked(root: Path, bundle: Bundle, relevant: Relevance, k: int) -> dict[str, np.ndarray]:
    """Model -> int32 [users, k], rows in the order of ``relevant``."""
    tables: dict[str, np.ndarray] = {}
    parts = training_data.examples(root / training_data.EVALUATION, bundle.manifest["sources"])
    for part in progress(parts, "ranking"):
        row = np.searchsorted(relevant.user_ids, part.user_ids)
        for name, ranked in comparison.rankings(bundle, part, k).items():
            tables.setdefault(name, np.full((len(relevant.user_ids), k), -1, np.int32))[row] = ranked
    return tables


def _verdicts(ranked: Mapping[str, np.ndarray], relevant: Relevance, seed: int) -> str:
    """One line for each other model: whether RecoMart beats it."""
    ndcg = {}
    for name, table in ranked.items():
        hits = metrics.hits(table, relevant.indptr, relevant.indices)
        ndcg[name] = metrics.per_user(hits, relevant.count, HEADLINE)["ndcg"]
    lines = []
    for name in ranked:
        if name != OURS:
            gap, low, high = comparison.difference(ndcg[OURS], ndcg[name], np.random.default_rng(seed))
            verdict = "beats" if low > 0 else "is worse than" if high < 0 else "can't be told apart from"
            lines.append(f"- RecoMart **{verdict}** {name}: {gap:+.4f} (95 % interval {low:+.4f} to {high:+.4f})")
    return "\n".join(lines)


def _check(root: Path) -> str:
    check = read_json(root / "data/models/check.json")
    if check is None:
        return "There is one training cut only: nothing older to learn from and check on the newest."
    values = check["ndcg@10"]
    best = max((name for name in values if name != OURS), key=lambda name: values[name])
    lines = [f"- {name}: {value:.4f}" for name, value in values.items()]
    verdict = "better" if values[OURS] > values[best] else "**worse**"
    return (
        f"A ranker that learned from the older cuts, on the sampled candidates of {check['users']} users of the newest "
        f"training cut, is {verdict} than the best source alone ({best}). NDCG@10:\n\n" + "\n".join(lines)
    )


def _sections(
    split: Mapping[str, Any], models: Mapping[str, evaluation_report.ByK], ks: list[int], verdicts: str, check: str
) -> dict[str, str]:
    window = split["evaluation"]
    introduction = (
        f"Window: {window['cut'][:10]} to {window['end'][:10]} (end not included, UTC). {window['active_users']} users "
        f"were active; measured are the {window['users']} of them with history before the window who turned to "
        f"something new in it, {window['relevant'] / window['users']:.1f} items each.\n\n"
        "The whole catalogue is ranked, less what the user had interacted with. Relevant is every new item with an "
        "event of positive weight in the window (by default any but remove_from_cart), also an item that nobody knew "
        "before. Sources and features know what happened before the window; the ranker learned from earlier windows "
        f"({', '.join(cut['cut'][:10] for cut in split['training'])}).\n\n"
        f"`{BASELINE}` is recent popularity, `popularity_all_time` the number of users ever; `svd` and `covisitation` "
        "are RecoMart's own sources, each alone. Definitions of the metrics: `pipelines/core/metrics.py`."
    )
    sections = {"Evaluation": introduction}
    sections |= {f"Best {k}": evaluation_report.table(models, k) for k in ks}
    sections["Who beats whom (NDCG@10, paired bootstrap over users)"] = verdicts
    sections["Inner check of the ranker"] = check
    return sections
