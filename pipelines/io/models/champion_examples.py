"""The champion as it would have been before a cut: its bundle from the registry, its own candidates, their features."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from pipelines.core.columns import Col
from pipelines.core.models import labels, scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.fitting import propose_only
from pipelines.core.models.interactions import positions
from pipelines.core.models.labels import Examples
from pipelines.core.models.past import Catalogue
from pipelines.core.models.ranker_inputs import NO_CATEGORY, reads
from pipelines.io.features import feast_store
from pipelines.io.models import known_items, registry
from pipelines.io.models.fetched_models import FetchedModels
from pipelines.io.preparation import events
from pipelines.settings import Settings


def fetched(settings: Settings) -> tuple[int, Bundle] | None:
    """The champion's version and bundle; None where there is none.

    Raises:
        ServiceError: MLflow doesn't answer.
        ModelError: its bundle is of another format, or damaged.
    """
    version = registry.champion(settings.mlflow_tracking_uri)
    if version is None:
        return None
    return version, FetchedModels.of(settings).open(version)


def refitted(root: Path, champion: Bundle, cut: datetime) -> Bundle:
    """The champion's sources fitted to what lies before ``cut``, with the champion's ranker.

    Raises:
        InputError: its feature service isn't published, or the published features aren't those of the log.
    """
    manifest = champion.manifest
    _, log = events.published(root, manifest["feature_service"])
    listed = known_items.known_at(root, cut)
    before = propose_only(log, cut, manifest["params"], manifest["data_sha256"], listed)
    return replace(before, ranker=champion.ranker)


def examples(settings: Settings, bundle: Bundle, user_ids: np.ndarray) -> Iterator[Examples]:
    """What ``bundle`` proposes to ``user_ids`` at its cut, with point-in-time features; labels are all 0.

    Raises:
        ServiceError: Postgres doesn't answer.
    """
    manifest = bundle.manifest
    service, cut = manifest["feature_service"], datetime.fromisoformat(manifest["cut"])
    store, read = feast_store.open_store(settings), reads(service)
    catalogue = Catalogue.of(bundle.item_ids, known_items.known_at(settings.root, cut))
    categories = np.array([name or NO_CATEGORY for name in catalogue.category], object)
    for part in scoring.batches(len(user_ids)):
        users = user_ids[part]
        histories = bundle.histories.take(positions(bundle.user_ids, users))
        candidates = scoring.candidates(bundle, histories, manifest["params"]["candidates"]["per_source"])
        table = labels.to_table(
            candidates,
            np.zeros(len(candidates.item_idx), np.float32),
            sources=manifest["sources"],
            user_ids=users,
            item_ids=bundle.item_ids,
            categories=categories,
            cut=cut,
            first_group=part.start,
        )
        features = feast_store.historical(store, service, table.select([*read.keys, Col.EVENT_TIMESTAMP]))
        for name in read.required:
            table = table.append_column(name, features[name])
        yield labels.from_table(table, manifest["sources"])
