"""ItemKNN: items are scored by how similar they are to those of the user's history.

Deshpande, Karypis, "Item-based top-N recommendation algorithms" (TOIS 2004). Of each item the K most similar ones are
kept. Items are similar by the cosine of their users; by the cosine of their users weighted by TF-IDF, which trusts
users of many items less; or by BM25 (Robertson, Walker, SIGIR 1994), which also trusts items of many users less. The
weights and the neighbours are those of the library ``implicit``.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from pipelines.core.models.peers import native
from pipelines.core.models.peers.peer import Scorer, Setting

NEIGHBOURS: Final = (100, 20)
COSINE: Final = "CosineRecommender"
TF_IDF: Final = "TFIDFRecommender"
BM25: Final = "BM25Recommender"


def grid(user_items: csr_matrix) -> list[Setting]:
    """Numbers of neighbours."""
    return [{"neighbours": neighbours} for neighbours in NEIGHBOURS]


def fit(
    similarity: str, user_items: csr_matrix, settings: Sequence[Setting], rng: np.random.Generator
) -> Iterator[Scorer]:
    """Find each item's neighbours by one of the similarities."""
    for setting in settings:
        with native.own_threads():
            from implicit import nearest_neighbours

            model = getattr(nearest_neighbours, similarity)(K=int(setting["neighbours"]))
            model.fit(user_items, show_progress=False)
        yield partial(_score, user_items, model.similarity.astype(np.float32))


def _score(user_items: csr_matrix, similar: csr_matrix, user_idx: np.ndarray) -> np.ndarray:
    scores: np.ndarray = (user_items[user_idx] @ similar).toarray()
    scores[scores == 0] = -np.inf
    return scores
