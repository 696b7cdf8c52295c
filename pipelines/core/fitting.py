"""From events before a cut to a bundle."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import xgboost as xgb

from pipelines.core.bundle import FORMAT, Bundle, seen
from pipelines.core.interactions import before, encode
from pipelines.core.ranking import input_names
from pipelines.core.sources import fit_all


def propose_only(events: pa.Table, cut: datetime, params: Mapping[str, Any], data_sha256: str) -> Bundle:
    """A bundle without a ranker whose sources know the events before ``cut`` and nothing else.

    ``params``: ``params.yaml`` as plain values; ``data_sha256`` names the events.
    """
    service = params["ranker"]["feature_service"]
    interactions = encode(before(events, cut), params["event_weights"])
    sources = fit_all(interactions, cut.timestamp(), params["candidates"], params["seed"])
    indptr, indices = seen(interactions)
    manifest = {
        "format": FORMAT,
        "feature_service": service,
        "features": input_names(list(sources), service),
        "sources": list(sources),
        "cut": cut.isoformat(),
        "data_sha256": data_sha256,
        "params": dict(params),
    }
    return Bundle(manifest, interactions.user_ids, interactions.item_ids, indptr, indices, sources, None)


def with_ranker(bundle: Bundle, ranker: xgb.Booster, params: Mapping[str, Any]) -> Bundle:
    """The bundle with a ranker; its manifest tells the hyperparameters of both."""
    return replace(bundle, ranker=ranker, manifest={**bundle.manifest, "params": dict(params)})
