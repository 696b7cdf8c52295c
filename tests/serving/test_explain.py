import numpy as np
import pytest

from pipelines.core.models import ranking, scoring
from pipelines.core.models.bundle import Bundle
from serving.explain import MOST, explanations
from serving.schemas import ExplanationOut
from tests.serving.shop import CUT, SIZE


def test_explanation_sums_up_to_the_score(model: Bundle) -> None:
    proposed = scoring.candidates(model, model.histories.take(np.array([4])), SIZE)
    features = dict.fromkeys(ranking.required("ranker_v1"), 3.0)
    inputs = scoring.inputs(model, proposed, features, CUT.timestamp())
    boost = np.linspace(0, 1, len(inputs), dtype=np.float32)
    scores = scoring.score(model, inputs) + boost
    for told, score in zip(explanations(model, inputs, boost), scores.tolist(), strict=True):
        out = ExplanationOut.model_validate(told)
        parts = [one.contribution for one in out.contributions]
        assert out.base + sum(parts) + out.others + out.rules == pytest.approx(score, abs=1e-5)
        assert parts == sorted(parts, key=lambda part: -abs(part))
        assert 0 < len(parts) <= MOST


def test_explanation_names_the_input_in_words_with_its_value(model: Bundle) -> None:
    proposed = scoring.candidates(model, model.histories.take(np.array([4])), SIZE)
    inputs = scoring.inputs(model, proposed, dict.fromkeys(ranking.required("ranker_v1"), np.nan), CUT.timestamp())
    best = int(np.flatnonzero(proposed.item_idx == 4)[0])
    first = explanations(model, inputs)[best]["contributions"][0]
    assert first["input"] == "covisitation_rank"
    assert first["words"] == "place in what is viewed together with the user's items"
    assert first["value"] == 0.0
