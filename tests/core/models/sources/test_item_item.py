import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipelines.core.models.sources import item_item
from tests.core.models.sources.dense import dense
from tests.core.models.sources.logs import met

ALWAYS = 1e9
EVENTS = [(0, 0, 5), (0, 1, 4), (0, 2, 1), (1, 0, 3), (1, 1, 3), (2, 1, 9), (2, 2, 2), (3, 0, 1), (3, 2, 8), (4, 2, 2)]
"""Each two of the three items share a user."""


def matrix(fitted: dict[str, np.ndarray], n_items: int) -> np.ndarray:
    return csr_matrix((fitted["data"], fitted["indices"], fitted["indptr"]), shape=(n_items, n_items)).toarray()


def ease(support: np.ndarray, target: np.ndarray, ridge: float) -> np.ndarray:
    """Steck's closed form: the Lagrange multipliers make the diagonal 0."""
    inverse = np.linalg.inv(support.T @ support + ridge * np.eye(support.shape[1]))
    free = inverse @ support.T @ target
    return free - inverse * (np.diag(free) / np.diag(inverse))


@pytest.mark.parametrize("half_life_days", [2.0, ALWAYS])
def test_item_item_with_all_neighbours_is_ease(half_life_days: float) -> None:
    log = met(*EVENTS, items=3)
    support = log.histories.matrix(np.ones(len(EVENTS)), 3).toarray()
    recent = log.histories.matrix(log.histories.recency(half_life_days), 3).toarray()
    ridge = 0.1 * np.linalg.norm(support, 2) ** 2
    fitted = item_item.fit(log, neighbours=2, ridge=0.1, half_life_days=half_life_days)
    np.testing.assert_allclose(matrix(fitted, 3), ease(support, recent, ridge), rtol=1e-4, atol=1e-6)


def test_item_item_regresses_on_the_most_alike_alone() -> None:
    # users of item 0: 0 to 3, of item 1: 0 to 2, of item 2: 0 and 1
    events = [(0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 1), (1, 1, 1), (1, 2, 1), (2, 0, 1), (2, 1, 1), (3, 0, 1)]
    fitted = item_item.fit(met(*events, items=3), neighbours=1, ridge=0.1, half_life_days=ALWAYS)
    ridge = 0.1 * np.linalg.norm([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]], 2) ** 2
    expected = np.zeros((3, 3))
    expected[1, 0], expected[0, 1], expected[1, 2] = 3 / (3 + ridge), 3 / (4 + ridge), 2 / (3 + ridge)
    np.testing.assert_allclose(matrix(fitted, 3), expected, rtol=1e-4)


def test_item_item_sums_what_the_items_of_a_history_speak_for() -> None:
    log = met(*EVENTS, items=3)
    fitted = item_item.fit(log, neighbours=2, ridge=0.1, half_life_days=ALWAYS)
    support = log.histories.matrix(np.ones(len(EVENTS)), 3).toarray()
    scores = dense(item_item.scorer(fitted, log.histories), log.histories, log.n_items)
    said = np.isfinite(scores)
    np.testing.assert_allclose(scores[said], (support @ matrix(fitted, 3))[said], rtol=1e-5)
    assert said[0].all()
    assert said[4].tolist() == [True, True, False]  # an item says nothing of itself


def test_item_item_counts_the_same_in_small_pieces(monkeypatch) -> None:
    rng = np.random.default_rng(7)
    pairs = {(int(user), int(item)) for user, item in zip(rng.integers(0, 9, 99), rng.integers(0, 20, 99), strict=True)}
    log = met(*((user, item, 1.0 + user) for user, item in sorted(pairs)), items=20)
    options = {"neighbours": 5, "ridge": 0.1, "half_life_days": 60}
    whole = item_item.fit(log, **options)
    monkeypatch.setattr(item_item, "PAIRS_AT_ONCE", 10)
    monkeypatch.setattr(item_item, "TARGETS_AT_ONCE", 4)
    for key, array in item_item.fit(log, **options).items():
        np.testing.assert_allclose(array, whole[key], rtol=1e-5, atol=1e-7)


def test_item_item_learns_from_the_newest_of_a_long_history(monkeypatch) -> None:
    monkeypatch.setattr(item_item, "NEWEST", 2)
    fitted = item_item.fit(met(*EVENTS, items=3), neighbours=2, ridge=0.1, half_life_days=ALWAYS)
    without_the_oldest = [event for event in EVENTS if event != (0, 0, 5)]
    expected = item_item.fit(met(*without_the_oldest, items=3), neighbours=2, ridge=0.1, half_life_days=ALWAYS)
    np.testing.assert_allclose(fitted["data"], expected["data"], rtol=1e-6)


def test_item_item_takes_half_of_what_two_truncated_rows_allow_a_pair_to_share() -> None:
    # items 1 and 2 are 0's neighbours; each has another item (3, 4) in its only place, so what they share isn't known
    near = np.array([[1, 2], [3, 5], [4, 5], [5, 5], [5, 5], [5, 5]], np.int32)
    shared = np.array([[1, 1], [4, 0], [4, 0], [0, 0], [0, 0], [0, 0]], np.float32)
    users = np.array([9, 4, 9, 4, 9, 0], np.float32)
    least = np.array([0, 0.5, 0.8, 0, 0, 0], np.float32)
    graph = item_item._Graph(near, shared, shared, users, least)
    overlaps = item_item._overlaps(graph, near[:1], np.full((1, 6), -1, np.int16))
    assert overlaps[0, 0, 1] == overlaps[0, 1, 0] == pytest.approx(0.5 * 0.5 * np.sqrt(4 * 9))


def test_item_item_knows_what_a_pair_shares_where_either_kept_the_other() -> None:
    # items 1 and 2 are 0's neighbours; 2 kept 1, which has no room for 2
    near = np.array([[1, 2], [0, 3], [1, 0], [1, 4], [4, 4]], np.int32)
    shared = np.array([[6, 5], [6, 6], [3, 5], [6, 0], [0, 0]], np.float32)
    graph = item_item._Graph(near, shared, shared, np.array([9, 9, 9, 9, 0], np.float32), np.full(5, 0.1, np.float32))
    overlaps = item_item._overlaps(graph, near[:1], np.full((1, 5), -1, np.int16))
    assert overlaps[0, 0, 1] == overlaps[0, 1, 0] == 3
