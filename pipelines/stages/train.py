"""Fit the candidate sources and the ranker; save the bundles ``evaluation`` and ``final``."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.context import Context
from pipelines.core import metrics, ranking
from pipelines.core.errors import InputError
from pipelines.core.fitting import propose_only, with_ranker
from pipelines.io import bundles, events, training_data
from pipelines.io.files import replacing, sha256, write_json

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Write ``data/models/evaluation`` (sources before the evaluation cut) and ``data/models/final`` (all events).

    Both have the same ranker, which saw the training windows only. ``data/models/check.json`` says how such a ranker
    does at the newest training cut after learning from the older ones.

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
    inputs, grades, groups = _examples(root / training_data.TRAINING, proposing.manifest["sources"], service)
    check = _check(inputs, grades, groups, proposing.manifest, plain, newest=split["training"][0]["users"])
    ranker = ranking.train(inputs, grades, groups, names, plain["ranker"], params.seed)
    as_of, log_ = events.published(root, service)
    final = propose_only(log_, as_of, plain, sha256(root / events.INTERACTIONS))
    with replacing(root / "data/models") as folder:
        folder.mkdir()
        bundles.save(with_ranker(proposing, ranker, plain), folder / "evaluation")
        digest = bundles.save(with_ranker(final, ranker, plain), folder / "final")
        write_json(folder / "check.json", check)
    log.info(
        "ranker of %d trees on %d candidates of %d users; bundle %s with %d users, %d items, %.1f s",
        *(ranker.num_boosted_rounds(), len(grades), len(np.unique(groups))),
        *(digest[:12], len(final.user_ids), len(final.item_ids), time.monotonic() - started),
    )


def _examples(path: Path, sources: Sequence[str], service: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(inputs float32 [n, features], grades float32 [n], groups int32 [n]) of all training candidates."""
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
    return np.concatenate(inputs), np.concatenate(grades), np.concatenate(groups)


def _check(
    inputs: np.ndarray,
    grades: np.ndarray,
    groups: np.ndarray,
    manifest: Mapping[str, Any],
    plain: Mapping[str, Any],
    newest: int,
) -> dict[str, Any] | None:
    """NDCG@10 among the sampled candidates of the newest training cut; None where there is no older one."""
    held_out = groups < newest  # groups count from the newest cut on
    if held_out.all() or not held_out.any():
        return None
    names = manifest["features"]
    ranker = ranking.train(
        inputs[~held_out], grades[~held_out], groups[~held_out], names, plain["ranker"], plain["seed"]
    )
    scores = {"recomart": ranking.predict(ranker, inputs[held_out])}
    for source in manifest["sources"]:
        scores[source] = -np.nan_to_num(inputs[held_out, names.index(f"{source}_rank")], nan=np.inf)
    _, user = np.unique(groups[held_out], return_inverse=True)
    relevant = grades[held_out] > 0
    return {
        "users": int(user.max()) + 1,
        "ndcg@10": {name: metrics.ndcg_of(score, relevant, user, 10) for name, score in scores.items()},
    }
