"""A large shop for the service: random users and items, a model of all sources, features in Postgres and Redis."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pipelines.core.features.feature_views import VIEWS
from pipelines.core.models import ranking, scoring, signals, sources
from pipelines.core.models.bundle import FORMAT, Bundle
from pipelines.core.models.past import Past
from pipelines.io.models import bundles, registry
from pipelines.settings import Settings
from tests import published_lake
from tests.benchmarks.models import FITS, _catalogue, random_log
from tests.conftest import CHECKOUT

USERS = 100_000
EVENTS = 3_000_000
PER_SOURCE = 50
"""About 300 candidates of eight sources."""
SERVICE = "ranker_v1"
TRAINED_ON = 600
RANKER = {
    "trees": 150, "learning_rate": 0.06, "max_depth": 4, "min_child_weight": 5, "subsample": 0.8, "colsample": 0.8,
}  # fmt: skip


def build(settings: Settings, items: int) -> Bundle:
    """Promote a model of ``items`` items in MLflow, and publish features of all users and items as of today."""
    shutil.copy(CHECKOUT / "params.yaml", settings.root)  # without it nothing pushes live events
    log = random_log(EVENTS, USERS, items)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    shift = today.timestamp() - float(log.epoch_s[-1]) - 1
    log = replace(log, epoch_s=log.epoch_s + shift)
    model = _model(Past(log, today.timestamp(), _catalogue(items), seed=7), today)
    folder = settings.root / "data/models/final"
    bundles.save(model, folder)
    version = registry.register(
        settings.mlflow_tracking_uri, folder, description="large", metrics={}, params={}, tags={}
    )
    registry.name_alias(settings.mlflow_tracking_uri, version.number, registry.CHAMPION)
    _publish(settings, model, today)
    return model


def _model(past: Past, today: datetime) -> Bundle:
    options = {**FITS, "svd_taste": {**FITS["svd"], "half_life_days": 1e6}}
    fitted = sources.fit_all(past, options)
    manifest = {
        "format": FORMAT,
        "feature_service": SERVICE,
        "features": ranking.input_names(list(fitted), SERVICE),
        "sources": list(fitted),
        "cut": today.isoformat(),
        "params": {"candidates": {**options, "per_source": PER_SOURCE}},
    }
    log = past.interactions
    model = Bundle(manifest, log.user_ids, log.item_ids, past.histories, fitted, signals.fit(past, 14), None)
    rng = np.random.default_rng(7)
    users = np.sort(rng.integers(0, USERS, TRAINED_ON))
    found = scoring.candidates(model, model.histories.take(users), PER_SOURCE)
    unknown = dict.fromkeys(ranking.required(SERVICE), np.nan)
    inputs = scoring.inputs(model, found, unknown, today.timestamp())
    odds = 0.2 * np.exp(-np.nan_to_num(found.source_ranks[:, 0], nan=100) / 30)
    labels = (rng.random(len(inputs)) < odds).astype(np.float32)
    wanted = np.isin(found.user_pos, found.user_pos[labels > 0])
    ranker = ranking.train(inputs[wanted], labels[wanted], found.user_pos[wanted], manifest["features"], RANKER, seed=7)
    return replace(model, ranker=ranker)


def _publish(settings: Settings, model: Bundle, today: datetime) -> None:
    rng = np.random.default_rng(7)
    stamps = {"event_timestamp": today, "created_timestamp": today}

    def rows(view: str, key: str, ids: np.ndarray) -> list[dict[str, Any]]:
        counts = [name for name in VIEWS[view].features if name.endswith(("d", "_all")) or name == "price"]
        values = rng.integers(0, 50, (len(ids), len(counts))).tolist()
        return [
            {key: str(i), **stamps, **dict(zip(counts, row, strict=True))} for i, row in zip(ids, values, strict=True)
        ]

    profiles = [
        row | {"title": f"Product {row['item_id']}", "category": f"category {n % 200}", "in_stock": True}
        for n, row in enumerate(rows("item_profile_v1", "item_id", model.item_ids))
    ]
    views = {
        "item_activity_v1": rows("item_activity_v1", "item_id", model.item_ids),
        "item_profile_v1": profiles,
    }
    part = f"date={today:%Y-%m-%d}/part-0.parquet"
    until = (today - published_lake.START) / timedelta(days=1)
    published_lake.published(
        settings,
        until,
        {part: rows("user_activity_v1", "user_id", model.user_ids)},
        **{view: {part: listed} for view, listed in views.items()},
    )
