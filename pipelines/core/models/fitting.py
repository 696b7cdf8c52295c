"""From events before a cut to a bundle."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.models import signals
from pipelines.core.models.bundle import FORMAT, Bundle
from pipelines.core.models.interactions import before, encode
from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.ranking import Ranker, input_names
from pipelines.core.models.sources import fit_all


def propose_only(
    events: pa.Table, cut: datetime, params: Mapping[str, Any], data_sha256: str, listed: pa.Table | None = None
) -> Bundle:
    """A bundle without a ranker whose sources know the events before ``cut``, what was listed then, and nothing else.

    ``listed``: the catalogue at the cut, as ``Catalogue.of`` takes it; items in it that nobody has met are proposed
    too, by sources that can. ``params``: ``params.yaml`` as plain values; ``data_sha256`` names the events.
    """
    service = params["ranker"]["feature_service"]
    known = None if listed is None else listed[Col.ITEM_ID]
    interactions = encode(before(events, cut), params["event_weights"], known)
    n_items = len(interactions.item_ids)
    catalogue = Catalogue.unknown(n_items) if listed is None else Catalogue.of(interactions.item_ids, listed)
    past = Past(interactions, cut.timestamp(), catalogue, params["seed"])
    sources = fit_all(past, params["candidates"])
    item_signals = signals.fit(past, params["split"]["window_days"])
    manifest = {
        "format": FORMAT,
        "feature_service": service,
        "features": input_names(list(sources), service),
        "sources": list(sources),
        "cut": cut.isoformat(),
        "data_sha256": data_sha256,
        "params": dict(params),
    }
    return Bundle(manifest, interactions.user_ids, interactions.item_ids, past.histories, sources, item_signals, None)


def with_ranker(bundle: Bundle, ranker: Ranker, params: Mapping[str, Any]) -> Bundle:
    """The bundle with a ranker; its manifest tells the hyperparameters of both."""
    return replace(bundle, ranker=ranker, manifest={**bundle.manifest, "params": dict(params)})
