from dataclasses import replace
from datetime import timedelta

import numpy as np

from pipelines.core.models.past import Past
from pipelines.core.models.sources import popularity
from tests.core.board import CUT, bundle, past
from tests.core.models.sources.logs import met


def test_popularity_ranks_by_decayed_weight() -> None:
    bought = {"event_id": "x", "user_id": "u00", "item_id": "i01", "event_type": "purchase", "quantity": 1}
    model = bundle({**bought, "timestamp": CUT - timedelta(hours=1)})
    assert model.sources["popularity"]["scores"].argmax() == 1


def test_popularity_halves_in_a_half_life() -> None:
    first = past(rows=slice(0, 1))
    seven_later = replace(first, at=first.interactions.epoch_s[0] + 7 * 86_400)
    fitted = popularity.fit(seven_later, half_life_days=7)
    assert fitted["scores"].tolist() == [0.5]


def on_devices() -> Past:
    """Item 0 is met twice on phones, item 1 once on a tablet, item 2 three times nobody knows where."""
    log = met((0, 0, 1), (1, 0, 1), (2, 1, 1), (0, 2, 1), (1, 2, 1), (2, 2, 1), items=3)
    device = np.where(log.interactions.item_idx == 2, -1, log.interactions.item_idx).astype(np.int8)
    return replace(log, interactions=replace(log.interactions, device=device, devices=("phone", "tablet")))


def test_popularity_on_a_device_counts_what_was_met_there() -> None:
    fitted = popularity.fit(on_devices(), half_life_days=1)
    assert fitted["scores"].tolist() == [1.0, 0.5, 1.5]
    assert popularity.on_device(fitted, "phone")["scores"].tolist() == [1.0, 0.0, 0.0]
    assert popularity.on_device(fitted, "tablet")["order"].tolist() == [1, 0, 2]


def test_popularity_on_an_unknown_device_is_that_of_all() -> None:
    fitted = popularity.fit(on_devices(), half_life_days=1)
    assert popularity.on_device(fitted, "watch") is fitted
    assert popularity.on_device({"scores": fitted["scores"]}, "phone") == {"scores": fitted["scores"]}
