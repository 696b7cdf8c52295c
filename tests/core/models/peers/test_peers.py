import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipelines.core.models import scoring
from pipelines.core.models.histories import Histories
from pipelines.core.models.peers import PEERS, als, bpr, ease, item_knn, native, pure_svd
from tests.core.board import SIZE, USERS, past

GIGABYTE = 1 << 30
SETTINGS = {
    "popularity": {},
    "pure_svd": {"factors": 2},
    "item_knn_cosine": {"neighbours": 12},
    "item_knn_tfidf": {"neighbours": 12},
    "item_knn_bm25": {"neighbours": 12},
    "als": {"factors": 2, "regularization": 0.1, "alpha": 10.0},
    "bpr": {"learning_rate": 0.05, "regularization": 0.01},
    "ease": {"ridge": 1.0},
}


class NoOpenMP(MetaPathFinder):
    """Where the system's OpenMP is not installed, importing ``implicit`` ends like this."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if name.split(".")[0] == "implicit":
            raise ImportError("libgomp.so.1: cannot open shared object file: No such file or directory")
        return None


def _board() -> tuple[Histories, csr_matrix]:
    histories = past().histories
    return histories, histories.matrix(np.ones(len(histories.item_idx), np.float32), SIZE)


def _scores(name: str, user_items: csr_matrix) -> np.ndarray:
    (scorer,) = PEERS[name].fit(user_items, [SETTINGS[name]], np.random.default_rng(7))
    return scorer(np.arange(user_items.shape[0]))


@pytest.mark.parametrize("name", [name for name in PEERS if name != "popularity"])
def test_peer_recommends_the_withheld_diagonal(name: str) -> None:
    histories, user_items = _board()
    scores = scoring.mask_seen(histories, _scores(name, user_items))
    assert scores.argmax(axis=1).tolist() == list(range(SIZE))


@pytest.mark.parametrize("name", PEERS)
def test_peer_repeats_with_the_same_seed(name: str) -> None:
    _, user_items = _board()
    np.testing.assert_array_equal(_scores(name, user_items), _scores(name, user_items))


@pytest.mark.parametrize("name", PEERS)
def test_peer_scores_some_users_as_among_all(name: str) -> None:
    _, user_items = _board()
    (scorer,) = PEERS[name].fit(user_items, [SETTINGS[name]], np.random.default_rng(7))
    np.testing.assert_allclose(scorer(USERS[[5, 2]]), scorer(USERS)[[5, 2]], rtol=1e-5, atol=1e-6)
    assert scorer(USERS).dtype == np.float32


@pytest.mark.parametrize("name", PEERS)
def test_peer_has_settings_that_it_can_be_fitted_with(name: str) -> None:
    _, user_items = _board()
    grid = PEERS[name].grid(user_items)
    assert len(list(PEERS[name].fit(user_items, grid[:2], np.random.default_rng(7)))) == len(grid[:2])


@pytest.mark.parametrize("name", PEERS)
def test_peer_tries_no_more_settings_on_large_data(name: str) -> None:
    small, large = csr_matrix((10, 10)), _of_size(20_000_000, 15_000)
    assert len(PEERS[name].grid(large)) <= len(PEERS[name].grid(small))
    assert len(PEERS[name].grid(large)) <= 5


def test_popularity_counts_users() -> None:
    user_items = csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0]], np.float32))
    assert _scores("popularity", user_items).tolist() == [[3, 2, 0]] * 3


def test_pure_svd_projects_on_the_first_singular_vectors() -> None:
    rows = np.random.default_rng(1).random((9, 7)).astype(np.float32)
    right = np.linalg.svd(rows)[2][:3]
    (scorer,) = pure_svd.fit(csr_matrix(rows), [{"factors": 3}], np.random.default_rng(7))
    np.testing.assert_allclose(scorer(np.arange(9)), rows @ right.T @ right, rtol=1e-4)


def test_pure_svd_of_fewer_factors_is_that_of_a_grid() -> None:
    _, user_items = _board()
    alone, of_grid = (
        next(pure_svd.fit(user_items, settings, np.random.default_rng(7)))(USERS)
        for settings in ([{"factors": 2}], [{"factors": 2}, {"factors": 5}])
    )
    np.testing.assert_allclose(of_grid, alone, atol=1e-5)


def test_pure_svd_of_a_single_item_prefers_nothing() -> None:
    (scorer,) = pure_svd.fit(csr_matrix(np.ones((3, 1), np.float32)), [{"factors": 64}], np.random.default_rng(7))
    assert scorer(np.array([0, 1])).shape == (2, 1)


def test_ease_solves_the_ridge_regression() -> None:
    user_items = csr_matrix(np.array([[1, 1], [1, 0]], np.float32))
    one, other = ease.fit(user_items, [{"ridge": 1.0}, {"ridge": 3.0}], np.random.default_rng(7))
    # XᵀX + I = [[3, 1], [1, 2]], P = [[2, -1], [-1, 3]] / 5, B = [[0, 1/3], [1/2, 0]]
    np.testing.assert_allclose(one(np.array([0, 1])), [[1 / 2, 1 / 3], [0, 1 / 3]], rtol=1e-6)
    # XᵀX + 3·I = [[5, 1], [1, 4]], P = [[4, -1], [-1, 5]] / 19, B = [[0, 1/5], [1/4, 0]]
    np.testing.assert_allclose(other(np.array([0, 1])), [[1 / 4, 1 / 5], [0, 1 / 5]], rtol=1e-6)


def test_ease_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    _, user_items = _board()
    whole = _scores("ease", user_items)
    monkeypatch.setattr(ease, "BLOCK", 5 * SIZE)
    np.testing.assert_allclose(_scores("ease", user_items), whole, atol=1e-6)


def test_ease_is_not_for_many_items_or_little_memory() -> None:
    assert ease.obstacle(csr_matrix((5, 1000)), GIGABYTE) is None
    assert "20,001 items" in str(ease.obstacle(csr_matrix((5, 20_001)), 100 * GIGABYTE))
    assert "3.2 GB" in str(ease.obstacle(csr_matrix((5, 20_000)), GIGABYTE))


def test_item_knn_scores_by_the_cosine_of_users() -> None:
    user_items = csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32))
    (scorer,) = item_knn.fit(item_knn.COSINE, user_items, [{"neighbours": 3}], np.random.default_rng(7))
    np.testing.assert_allclose(scorer(np.array([1])), [[1, 2**-0.5, -np.inf]], rtol=1e-6)


def test_item_knn_keeps_as_many_neighbours_as_it_is_told() -> None:
    _, user_items = _board()
    (scorer,) = item_knn.fit(item_knn.COSINE, user_items, [{"neighbours": 1}], np.random.default_rng(7))
    seen = user_items.toarray() > 0
    assert np.isneginf(scorer(USERS)[~seen]).all()  # an item's nearest neighbour is the item itself


def test_als_and_bpr_stop_earlier_on_large_data() -> None:
    few, many = csr_matrix((10, 10)), _of_size(20_000_000, 10)
    assert (bpr.epochs(few), bpr.epochs(many)) == (100, 10)
    assert len(als.grid(many)) < len(als.grid(few))


def test_native_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native.obstacle(csr_matrix((1, 1)), GIGABYTE) is None
    without_openmp(monkeypatch)
    assert "apt install libgomp1" in str(native.obstacle(csr_matrix((1, 1)), GIGABYTE))


def without_openmp(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "implicit"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoOpenMP(), *sys.meta_path])


class _OfSize(csr_matrix):
    """A matrix that says it had so many entries."""

    pretended = 0

    @property
    def nnz(self) -> int:
        return self.pretended


def _of_size(nnz: int, items: int) -> csr_matrix:
    matrix = _OfSize((10, items))
    matrix.pretended = nnz
    return matrix
