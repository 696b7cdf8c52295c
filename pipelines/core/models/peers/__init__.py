"""The peers that the benchmark trains beside RecoMart: published methods, well set, by the same rules."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from pipelines.core.models.peers import als, bpr, ease, item_knn, native, popularity, pure_svd
from pipelines.core.models.peers.peer import Peer


def _item_knn(similarity: str) -> Peer:
    return Peer(partial(item_knn.fit, similarity), item_knn.grid, native.obstacle)


PEERS: Final[Mapping[str, Peer]] = {
    "popularity": Peer(popularity.fit, popularity.grid),
    "pure_svd": Peer(pure_svd.fit, pure_svd.grid),
    "item_knn_cosine": _item_knn(item_knn.COSINE),
    "item_knn_tfidf": _item_knn(item_knn.TF_IDF),
    "item_knn_bm25": _item_knn(item_knn.BM25),
    "als": Peer(als.fit, als.grid, native.obstacle),
    "bpr": Peer(bpr.fit, bpr.grid, native.obstacle),
    "ease": Peer(ease.fit, ease.grid, ease.obstacle),
}
"""Name -> peer, in the order in which they are measured: the quick ones first."""
