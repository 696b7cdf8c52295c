"""A future event changes no candidate, no signal and no score."""

from dataclasses import replace
from datetime import timedelta

import numpy as np

from pipelines.core.models import ranking, scoring
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.candidates import Candidates
from tests.core.board import CUT, USERS, bundle

SERVICE = "ranker_v1"
OPTIONS = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 1, "colsample": 1, "trees": 10}
FUTURE = [
    {"user_id": "u03", "item_id": "i03", "event_type": "purchase", "timestamp": CUT},
    {"user_id": "u00", "item_id": "i05", "event_type": "purchase", "timestamp": CUT + timedelta(microseconds=1)},
    {"user_id": "new", "item_id": "i03", "event_type": "view", "timestamp": CUT + timedelta(hours=1)},
    {"user_id": "u01", "item_id": "new", "event_type": "add_to_cart", "timestamp": CUT + timedelta(days=400)},
]
LATER = [{"event_id": f"f{n}", "quantity": 1, **row} for n, row in enumerate(FUTURE)]
KNOWN = dict.fromkeys(ranking.required(SERVICE), 1.0)


def scored(model: Bundle) -> tuple[Candidates, np.ndarray]:
    """All candidates of all users, and what a ranker that is the same for all makes of them."""
    found = scoring.candidates(model, model.histories, 6)
    names, inputs = model.manifest["features"], _inputs(model, found)
    if model.ranker is None:
        labels = (found.user_pos == found.item_idx).astype(np.float32)
        ranker = ranking.train(inputs, labels, found.user_pos, names, OPTIONS, 1)
        model = replace(model, ranker=ranker)
    return found, scoring.rank(model, found, KNOWN, CUT.timestamp())


def _inputs(model: Bundle, found: Candidates) -> np.ndarray:
    return ranking.inputs(model.manifest["sources"], found, KNOWN, CUT.timestamp(), SERVICE)


def test_future_events_change_no_candidate_signal_or_score() -> None:
    (found, scores), (other, other_scores) = scored(bundle()), scored(bundle(*LATER))
    assert found.users == other.users == len(USERS)
    for name in ("user_pos", "item_idx", "source_scores", "source_ranks", "source", "signals"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))
    np.testing.assert_array_equal(scores, other_scores)
    assert len(np.unique(scores)) > 1


def test_an_event_just_before_the_cut_does_change_scores() -> None:
    before = [{**row, "timestamp": CUT - timedelta(microseconds=1)} for row in LATER[:2]]
    found, other = (scoring.candidates(model, model.histories, 6) for model in (bundle(), bundle(*before)))
    assert not np.array_equal(found.signals, other.signals)
