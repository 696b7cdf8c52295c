"""What a candidate's score is made of: exact SHAP values of the trees, and the terms of the blend they start from.

Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature Machine
Intelligence 2020.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.core.models import blend
from pipelines.core.models.ranking import THREADS, Ranker


@dataclass(frozen=True)
class Contributions:
    """Parts of the scores of m candidates: ``base`` and the row's ``values`` sum up to the score."""

    base: np.ndarray
    """float32 [m]: what the ranker says on average, of a candidate that no source speaks of."""
    values: np.ndarray
    """float32 [m, F], in the order of the ranker's inputs."""


def of(ranker: Ranker, inputs: np.ndarray) -> Contributions:
    """The contributions to the scores of ``inputs`` [m, F], as ``scoring.score`` gives them.

    A source's place adds what it lifts the candidate above one of which the source says nothing. Where the blend alone
    decides, of users without a history, the trees add nothing.
    """
    values = np.zeros(inputs.shape, np.float32)
    base = np.zeros(len(inputs), np.float32)
    known = ~np.isnan(inputs[:, ranker.inputs.index("user_items")])
    if ranker.trees is not None and known.any():
        import xgboost as xgb  # takes a second and 100 MB

        data = xgb.DMatrix(inputs[known], missing=np.nan, feature_names=list(ranker.inputs), nthread=THREADS)
        data.set_base_margin(np.zeros(int(known.sum()), np.float32))
        shap = ranker.trees.booster.predict(data, pred_contribs=True)
        values[known], base[known] = shap[:, :-1], shap[:, -1]
    last = blend.standings(np.array([np.nan], np.float32))[0]
    for source, weight in ranker.blend.items():
        column = ranker.inputs.index(f"{source}_rank")
        values[:, column] += np.float32(weight) * (blend.standings(inputs[:, column]) - last)
        base += np.float32(weight) * last
    return Contributions(base, values)
