"""The candidate sources: factorizations beside those of libraries, on one thread; and fits on 10 M interactions.

The log is random, over two years: users have three tastes of 200 each, and items are popular by Zipf within a taste.
Seconds are those of the processor, which a machine shared with others doesn't change.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.sources import SOURCES, als, svd
from pipelines.io import files
from pipelines.settings import Settings
from tests.benchmarks.pipeline import measure
from tests.conftest import CHECKOUT
from tests.core.models.sources.dense import dense

TASTES: Final = 200
DAYS: Final = 730
FACTORS: Final = 64
ITERATIONS: Final = 10
ASKED: Final = 2_000
WORDS: Final = 5_000
IMPLICIT: Final = ((1.0, 5.0), (1.0, 10.0), (10.0, 10.0))
"""(regularization, alpha) to choose among."""
FITS: Final[dict[str, dict[str, Any]]] = {
    "svd": {"factors": 128, "ridge": 0.1, "half_life_days": 12.0, "user_scale": 0.0, "item_scale": 0.0},
    "item_item": {"neighbours": 100, "ridge": 0.1, "half_life_days": 12.0},
    "als": {"factors": 64, "unobserved": 0.1, "ridge": 0.05, "iterations": 10, "half_life_days": 12.0},
    "covisitation": {"window": 10, "half_life_days": 60.0, "neighbours": 100},
    "popularity": {"half_life_days": 7.0},
    "category_popularity": {"half_life_days": 7.0, "taste_half_life_days": 60.0},
    "content": {"max_users": 10, "half_life_days": 60.0},
}


def run(_: Settings) -> Iterator[str]:
    """Yield lines for the truncated SVD and for ALS."""
    log = random_log(1_000_000, 20_000, 10_000)
    past = Past(log.before(log.epoch_s[-100_000]), float(log.epoch_s[-100_000]), Catalogue.unknown(10_000), seed=7)
    with threadpool_limits(1):
        yield from _svd_lines(past)
        yield from _als_lines(past, *_asked(past, log))


def run_large(_: Settings) -> Iterator[str]:
    """Yield a line for each source, fitted on 10 M interactions of 200,000 users with 100,000 items."""
    with tempfile.TemporaryDirectory(prefix="recomart-bench-") as folder:
        root, alone = Path(folder), 0
        os.environ["PYTHONPATH"] = str(CHECKOUT)
        for name in ("nothing", *FITS):
            _, peak = measure(root, "-m", "tests.benchmarks.models", name, str(root / "seconds.json"))
            alone = alone or peak
            seconds, size = files.read_json(root / "seconds.json")
            yield (
                f"{name:19} {seconds:6.1f} s of CPU  {peak / 1024:6.0f} MB, {(peak - alone) / 1024:5.0f} MB more than "
                f"the log and the libraries  {size / 2**20:5.0f} MB in a bundle"
            )


def fit_large(name: str, report: Path) -> None:
    """Fit one source, or nothing; note its seconds and the bytes of its arrays."""
    log = random_log(10_000_000, 200_000, 100_000)
    catalogue = _catalogue(100_000)
    past = Past(log, float(log.epoch_s[-1]) + 1, catalogue, seed=7)
    assert past.histories.users == 200_000  # what all sources share is made beforehand
    with threadpool_limits(1, "blas"):  # as fit_all does
        seconds, arrays = _timed(lambda: SOURCES[name].fit(past, **FITS[name]) if name in FITS else {})
    files.write_json(report, [seconds, sum(array.nbytes for array in arrays.values())])


def random_log(events: int, users: int, items: int) -> Interactions:
    """Four of five events are of one of their user's tastes."""
    rng = np.random.default_rng(7)
    user = (users * rng.random(events) ** 2).astype(np.int32)
    own = rng.integers(0, TASTES, (users, 3))[user, rng.integers(0, 3, events)]
    taste = np.where(rng.random(events) < 0.8, own, rng.integers(0, TASTES, events))
    place = ((items / TASTES) ** rng.random(events)).astype(np.int64) - 1  # the density falls as 1 / (place + 1)
    times = 1.7e9 + np.sort(rng.random(events)) * DAYS * SECONDS_A_DAY
    ids = (np.char.add(kind, np.char.zfill(np.arange(n).astype(str), 7)) for kind, n in (("u", users), ("i", items)))
    item = (place * TASTES + taste).astype(np.int32)
    return Interactions(*ids, user, item, np.ones(events, np.float32), times)


def _catalogue(items: int) -> Catalogue:
    """Titles of six words."""
    words = np.random.default_rng(7).integers(0, WORDS, (items, 6))
    text = np.array([" ".join(f"word{n}" for n in row) for row in words], object)
    category = np.array([f"category {n % TASTES}" for n in range(items)], object)
    return Catalogue(text, category, 1.0 + np.arange(items) % 97)


def _asked(past: Past, log: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """(user [n], item [n]): the next new item of some users after the cut."""
    later = log.between(past.at, np.inf)
    pairs = later.user_idx.astype(np.int64) * past.n_items + later.item_idx
    seen = past.histories.user_pos * past.n_items + past.histories.item_idx
    new = np.flatnonzero(~np.isin(pairs, seen))
    users, first = np.unique(later.user_idx[new], return_index=True)
    return users[:ASKED], later.item_idx[new[first[:ASKED]]]


def _svd_lines(past: Past) -> Iterator[str]:
    user_items = past.histories.matrix(np.log1p(past.histories.weight), past.n_items)
    ours, left = _timed(lambda: svd._factorized(past, FACTORS, 0.0, 0.0)[0])
    rivals: Sequence[tuple[str, Callable[[], np.ndarray]]] = (
        ("scipy svds", lambda: svds(user_items, k=FACTORS, random_state=7)[0]),
        ("randomized_svd", lambda: randomized_svd(user_items, FACTORS, random_state=7)[0]),
        ("randomized_svd, as near", lambda: randomized_svd(user_items, FACTORS, n_iter=20, random_state=7)[0]),
    )
    yield f"truncated SVD, {FACTORS} factors: {ours:.1f} s, {_captured(user_items, left):.4f} of the squares"
    for name, factorize in rivals:
        theirs, left = _timed(factorize)
        share = _captured(user_items, left)
        yield f"truncated SVD: {name} {theirs:.1f} s, {share:.4f} of the squares: ours takes {ours / theirs:.2f}×"


def _als_lines(past: Past, users: np.ndarray, wanted: np.ndarray) -> Iterator[str]:
    histories = past.histories.take(users)
    options = FITS["als"] | {"factors": FACTORS, "iterations": ITERATIONS, "half_life_days": 1e9}
    ours, arrays = _timed(lambda: als.fit(past, **options))
    quality = _ndcg(dense(als.scorer(arrays, histories), histories, past.n_items), histories, wanted)
    yield f"ALS, {FACTORS} factors, {ITERATIONS} iterations: {ours:.1f} s, NDCG@10 {quality:.4f}"
    support = past.histories.matrix(np.ones(len(past.histories.item_idx), np.float32), past.n_items)
    found = []
    for regularization, alpha in IMPLICIT:
        model = AlternatingLeastSquares(
            FACTORS, regularization, alpha, iterations=ITERATIONS, random_state=7, num_threads=1
        )
        theirs, _ = _timed(lambda model=model: model.fit(support, show_progress=False))
        scores = model.user_factors[users] @ model.item_factors.T
        found.append((_ndcg(scores, histories, wanted), theirs))
    best, theirs = max(found)
    yield (
        f"ALS: implicit {theirs:.1f} s, NDCG@10 {best:.4f}, the best of {len(IMPLICIT)} settings: "
        f"ours takes {ours / theirs:.2f}× for {quality / best:.2f}×"
    )


def _captured(user_items: csr_matrix, left: np.ndarray) -> float:
    """The share of the matrix' squared length that lies in the span of ``left`` [users, f]."""
    return float(np.linalg.norm(user_items.T @ left) ** 2 / (user_items.data.astype(np.float64) ** 2).sum())


def _ndcg(scores: np.ndarray, histories: Any, wanted: np.ndarray) -> float:
    """NDCG@10 with one relevant item a user."""
    scores[histories.user_pos, histories.item_idx] = -np.inf
    place = 1 + (scores > scores[np.arange(len(wanted)), wanted][:, None]).sum(axis=1)
    return float(np.where(place <= 10, 1 / np.log2(1 + place), 0.0).mean())


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


if __name__ == "__main__":
    fit_large(sys.argv[1], Path(sys.argv[2]))
