"""What each item's score is made of, for whoever asks."""

from typing import Any, Final

import numpy as np

from pipelines.core.lists import contributions
from pipelines.core.models import input_words
from pipelines.core.models.bundle import Bundle

MOST: Final = 8
"""Inputs that are named; what all others add is one number."""


def explanations(bundle: Bundle, inputs: np.ndarray, boost: np.ndarray | None = None) -> list[dict[str, Any]]:
    """One a row of ``inputs`` float32 [m, F], each of the form of ``schemas.ExplanationOut``.

    ``boost``: float32 [m], what rules added to the scores.
    """
    ranker = bundle.ranker
    if ranker is None:
        return [{} for _ in inputs]
    found = contributions.of(ranker, inputs)
    window_days = float(bundle.signals["window_days"][0])
    most = np.argsort(-np.abs(found.values), axis=1, kind="stable")[:, :MOST]
    named = np.take_along_axis(found.values, most, axis=1)
    rest = found.values.sum(axis=1) - named.sum(axis=1)
    return [
        {
            "base": float(found.base[row]),
            "contributions": [
                {
                    "input": ranker.inputs[column],
                    "words": input_words.words(ranker.inputs[column], window_days),
                    "value": None if np.isnan(inputs[row, column]) else float(inputs[row, column]),
                    "contribution": float(part),
                }
                for column, part in zip(most[row].tolist(), named[row].tolist(), strict=True)
                if part
            ],
            "others": float(rest[row]),
            "rules": 0.0 if boost is None else float(boost[row]),
        }
        for row in range(len(inputs))
    ]
