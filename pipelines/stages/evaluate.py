"""Rank the whole catalogue for the users of the newest window; compare RecoMart with all else, and look inside."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.context import Context
from pipelines.core.columns import Col
from pipelines.core.errors import InputError, ModelError, ServiceError
from pipelines.core.evaluation import ablation, champion, comparison, measurement
from pipelines.core.evaluation.champion import Compared
from pipelines.core.evaluation.comparison import CHAMPION, OURS, Relevance
from pipelines.core.evaluation.measurement import MERGED, Lists, Ranked
from pipelines.core.models import ranking, scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.interactions import positions
from pipelines.core.models.labels import Examples
from pipelines.io import plots
from pipelines.io.files import read_json, replacing
from pipelines.io.models import (
    bundles,
    champion_examples,
    evaluation_plots,
    evaluation_report,
    evaluation_text,
    training_data,
)
from pipelines.io.progress import progress
from pipelines.stages import train

log = logging.getLogger(__name__)

MODELS: Final = Path("data/models")
METRICS: Final = Path("data/reports/metrics.json")
REPORT: Final = Path("data/reports/evaluation")
HEADLINE: Final = 10
"""The cut-off of the metric that decides about promotion."""
Rankers = Mapping[str, tuple[ablation.Step, Any]]
"""Step -> its inputs, and a ranker that reads them."""


def run(context: Context) -> None:
    """Write ``data/reports/metrics.json`` and ``data/reports/evaluation``, and print the table.

    Raises:
        InputError: there is no training data.
        ModelError: the bundle isn't one that the training data was assembled with.
    """
    started = time.monotonic()
    root, params = context.root, context.params
    bundle = bundles.load(root / MODELS / "evaluation")
    split = training_data.split(root)
    if bundle.ranker is None or bundle.manifest["cut"] != split["evaluation"]["cut"]:
        raise ModelError(f"data/models was trained for another cut ({bundle.manifest['cut']}): train again")
    truth = training_data.truth(root)
    wanted = (truth[name].to_numpy().astype(str) for name in (Col.USER_ID, Col.ITEM_ID))
    relevant = comparison.relevance(bundle, *wanted)
    ks = sorted({*params.evaluation.k, HEADLINE})
    rankers = _ablated(root, bundle) if params.evaluation.ablation else {}
    ranked = _ranked(root, bundle, relevant, rankers, max(ks))
    compared = _champion(context, bundle, relevant, max(ks))
    if compared.lists is not None:
        ranked = replace(ranked, models={**ranked.models, CHAMPION: compared.lists})
    inputs = {name: len(step.inputs) for name, (step, _) in rankers.items()} | {OURS: len(bundle.manifest["features"])}
    results = measurement.measure(bundle, ranked, relevant, inputs, ks, HEADLINE, params.seed)
    users, importance = len(relevant.user_ids), ranking.importance(bundle.ranker)
    blend = sorted(bundle.ranker.blend.items(), key=lambda named: -named[1])
    evaluation_report.write_metrics(root / METRICS, results.models, results.curves, ks, users)
    with replacing(root / REPORT) as folder:
        folder.mkdir()
        evaluation_report.write(folder, results, importance, compared, users)
        for name, figure in evaluation_plots.pictures(results, blend, importance).items():
            plots.save(figure, folder / f"{name}.png")
        report, choice = folder / "report.md", read_json(root / MODELS / "check.json")
        evaluation_text.write(report, results, split, bundle.manifest, blend, importance, compared.why_not, choice)
    print(evaluation_text.table(results.models, HEADLINE))  # noqa: T201
    print(f"report: {root / REPORT / 'report.md'} (`make ui` opens MLflow with all runs)")  # noqa: T201
    log.info("%d users, %d models, %.1f s", users, len(results.models), time.monotonic() - started)


def _ranked(root: Path, bundle: Bundle, relevant: Relevance, rankers: Rankers, k: int) -> Ranked:
    """Rank all candidates of all users, a part of the file at a time."""
    models, steps = Lists(relevant, k), Lists(relevant, k)
    scored, hits = [], []
    examples = training_data.examples(root / training_data.EVALUATION, bundle.manifest["sources"])
    for part in progress(examples, "ranking"):
        inputs = scoring.inputs(bundle, part.candidates, part.features, part.at)
        by_model = comparison.scores(bundle, part, inputs)
        scored.append(by_model[OURS])
        hits.append(part.labels > 0)
        for name, lists in comparison.rankings(bundle, part, k, by_model).items():
            models.add(name, part.user_ids, lists)
        if rankers:
            by_step = {MERGED: ablation.fused(part.candidates.source_ranks)}
            by_step |= ablation.predictions(rankers, bundle.manifest["features"], inputs)
            for name, scores in by_step.items():
                steps.add(name, part.user_ids, comparison.best(part.candidates, scores, k))
    return Ranked(models.tables, steps.tables, np.concatenate(scored), np.concatenate(hits))


def _ablated(root: Path, bundle: Bundle) -> Rankers:
    """A ranker for each step of the ablation, trained on the training windows."""
    manifest = bundle.manifest
    names, service, options = list(manifest["features"]), manifest["feature_service"], manifest["params"]["ranker"]
    rows = train.examples(root / training_data.TRAINING, manifest["sources"], service)
    steps, rankers = ablation.steps(manifest["sources"], service), {}
    for step in progress(steps, "ablation", len(steps)):
        inputs = rows.inputs[:, [names.index(name) for name in step.inputs]]
        settings = ablation.coarse(options, bundle.ranker) if step.trees else {**options, "trees": 0}
        ranker = ranking.train(inputs, rows.labels, rows.group, step.inputs, settings, manifest["params"]["seed"])
        rankers[step.name] = (step, ranker)
    return rankers


def _champion(context: Context, bundle: Bundle, relevant: Relevance, k: int) -> Compared:
    """The champion's lists, made without what it knows of the window."""
    try:
        found = champion_examples.fetched(context.settings)
        if found is None:
            return Compared()
        version, incumbent = found
        way = champion.way(incumbent.manifest, bundle.manifest)
        if isinstance(way, str):
            return Compared(version, why_not=way)
        before, parts = _before(context, bundle, incumbent, way.same_candidates, relevant.user_ids)
        return Compared(version, _lists(before, bundle, parts, relevant, k))
    except (ServiceError, ModelError, InputError) as error:
        log.warning("the champion isn't compared: %s", error)
        return Compared(why_not=str(error))


def _before(
    context: Context, bundle: Bundle, incumbent: Bundle, same_candidates: bool, user_ids: np.ndarray
) -> tuple[Bundle, Iterable[Examples]]:
    """(the champion as of the cut, its candidates)."""
    if same_candidates:
        path, sources = context.root / training_data.EVALUATION, bundle.manifest["sources"]
        return replace(bundle, ranker=incumbent.ranker), training_data.examples(path, sources)
    before = champion_examples.refitted(context.root, incumbent, datetime.fromisoformat(bundle.manifest["cut"]))
    return before, champion_examples.examples(context.settings, before, user_ids)


def _lists(before: Bundle, bundle: Bundle, parts: Iterable[Examples], relevant: Relevance, k: int) -> np.ndarray:
    """int32 [users, k] positions among the items of ``bundle``."""
    lists = Lists(relevant, k)
    place = np.append(positions(bundle.item_ids, before.item_ids), -1)
    for part in progress(parts, "ranking by the champion"):
        scores = scoring.rank(before, part.candidates, part.features, part.at)
        lists.add(CHAMPION, part.user_ids, place[comparison.best(part.candidates, scores, k)])
    return lists.tables[CHAMPION]
