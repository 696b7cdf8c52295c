"""Fit the candidate sources and the ranker; save the bundles ``evaluation`` and ``final``."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.evaluation import champion
from pipelines.core.models import ranking, selection
from pipelines.core.models.fitting import propose_only, with_ranker
from pipelines.core.models.selection import Rows
from pipelines.io.files import replacing, sha256, write_json
from pipelines.io.models import bundles, known_items, training_data
from pipelines.io.preparation import events

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Write ``data/models/evaluation`` (sources before the evaluation cut) and ``data/models/final`` (all events).

    Both have the same ranker, which saw the training windows only. ``data/models/check.json`` says what was chosen, and
    by what: how rankers did at the newest training cut after learning from the older ones.

    Raises:
        InputError: ``data/training`` is missing, or no candidate ever came to anything.
    """
    started = time.monotonic()
    root, params = context.root, context.params
    plain = params.model_dump(mode="json")
    split = training_data.split(root)
    proposing = bundles.load(root / training_data.SOURCES)
    names = proposing.manifest["features"]
    service = params.ranker.feature_service
    if proposing.manifest["feature_service"] != service:
        raise InputError(f"{root / training_data.FOLDER} isn't of {service}: run `python -m pipelines assemble`")
    rows = examples(root / training_data.TRAINING, proposing.manifest["sources"], service)
    newest = rows.group < split["training"][0]["users"]  # groups count from the newest cut on
    check = rows.where(newest)
    choice = selection.decide(rows.where(~newest), check, check, names, plain["ranker"], params.seed)
    ranker = selection.fit(rows, choice, names, plain["ranker"], params.seed)
    as_of, log_ = events.published(root, service)
    listed = known_items.known_at(root, as_of)
    final = propose_only(log_, as_of, plain, sha256(root / events.INTERACTIONS), listed)
    with replacing(root / "data/models") as folder:
        folder.mkdir()
        bundles.save(with_ranker(proposing, ranker, plain), folder / "evaluation")
        learned = {**final.manifest, champion.LEARNED_UNTIL: split["evaluation"]["cut"]}
        digest = bundles.save(with_ranker(replace(final, manifest=learned), ranker, plain), folder / "final")
        write_json(folder / "check.json", asdict(choice))
    log.info(
        "%s on %d candidates of %d users; bundle %s with %d users, %d items, %.1f s",
        *(choice, len(rows.labels), len(np.unique(rows.group))),
        *(digest[:12], len(final.user_ids), len(final.item_ids), time.monotonic() - started),
    )


def examples(path: Path, sources: Sequence[str], service: str) -> Rows:
    """All training candidates."""
    inputs, grades, groups = [], [], []
    for part in training_data.examples(path, sources):
        inputs.append(ranking.inputs(sources, part.candidates, part.features, part.at, service))
        grades.append(part.labels)
        groups.append(part.groups[part.candidates.user_pos])
    if not inputs:
        raise InputError(
            f"{path} is empty: in no training window did a user turn to a candidate; "
            "bring more data, or raise split.window_days or candidates.per_source in params.yaml"
        )
    return Rows(np.concatenate(inputs), np.concatenate(grades), np.concatenate(groups))
