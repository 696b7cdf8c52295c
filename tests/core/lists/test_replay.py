"""A list computed again from what was packed is the same list."""

from dataclasses import asdict

import numpy as np
import pytest

from pipelines.core.lists import arrangement, packing, replay
from pipelines.core.lists.arrangement import Arrangement
from pipelines.core.models import diversity, ranking, scoring
from pipelines.core.models.bundle import Bundle
from tests.serving.shop import CUT, SIZE, bundle


@pytest.fixture(scope="module")
def model() -> Bundle:
    return bundle()


@pytest.mark.parametrize(
    "how",
    [
        Arrangement(4),
        Arrangement(4, diversity=0.5),
        Arrangement(4, max_per_category=1),
        Arrangement(4, pins=((0, 9), (2, 1))),
        Arrangement(4, explore=0.5, seed=17),
        Arrangement(4, spread=1),
    ],
)
def test_list_again_is_the_list_that_was_arranged(model: Bundle, how: Arrangement) -> None:
    history = model.histories.take(np.array([4], np.int32))
    candidates = scoring.candidates(model, history, SIZE)
    n = len(candidates.item_idx)
    features = dict.fromkeys(ranking.required("ranker_v1"), np.nan)
    inputs = scoring.inputs(model, candidates, features, CUT.timestamp())
    rng = np.random.default_rng(7)
    arrays = {
        "item_idx": candidates.item_idx,
        "inputs": inputs,
        "keep": np.arange(n) != 1,
        "category": (candidates.item_idx % 2).astype(np.int32),
        "boost": rng.normal(size=n).astype(np.float32),
        "fresh": rng.random(n).astype(np.float32),
    }
    scores = scoring.score(model, inputs) + arrays["boost"]
    given = (arrays["item_idx"], scores, arrays["keep"], arrays["category"], arrays["fresh"], diversity.vectors(model))
    rows, _ = arrangement.arranged(how, *given)
    unpacked, more = packing.unpack(packing.pack(arrays, {"how": asdict(how)}))
    item_idx, again = replay.again(model, unpacked, Arrangement(**more["how"]))
    assert len(rows) >= 2
    assert item_idx.tolist() == candidates.item_idx[rows].tolist()
    assert again.tolist() == scores[rows].tolist()
