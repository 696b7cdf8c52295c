import numpy as np

from pipelines.core.models.sources import covisitation
from tests.core.board import SIZE, past
from tests.core.models.sources.dense import dense
from tests.core.models.sources.logs import met

ALWAYS = 1e9


def test_covisitation_keeps_the_best_neighbours() -> None:
    fitted = covisitation.fit(past(), window=10, half_life_days=60, neighbours=2)
    assert np.diff(fitted["indptr"]).tolist() == [2] * SIZE
    assert all((fitted["indices"][2 * i : 2 * i + 2] % 2 == i % 2).all() for i in range(SIZE))


def test_covisitation_divides_a_pairs_weight_by_the_totals() -> None:
    log = met((0, 0, 3), (0, 1, 2), (0, 2, 1), items=3)
    fitted = covisitation.fit(log, window=2, half_life_days=ALWAYS, neighbours=2)
    # pairs 01 and 12 at distance 1, 02 at distance 2: totals 1.5, 2 and 1.5
    assert fitted["indices"].tolist() == [1, 2, 0, 2, 0, 1]
    near, far = 1 / np.sqrt(1.5 * 2), 0.5 / 1.5
    np.testing.assert_allclose(fitted["data"], [near, far, near, near, far, near], rtol=1e-6)


def test_covisitation_knows_no_pair_across_users() -> None:
    log = met((0, 0, 3), (1, 1, 2), items=2)
    assert len(covisitation.fit(log, window=2, half_life_days=ALWAYS, neighbours=2)["data"]) == 0


def test_covisitation_pairs_no_item_with_itself() -> None:
    log = met((0, 0, 3), (0, 1, 2), (0, 0, 1), items=2)
    fitted = covisitation.fit(log, window=2, half_life_days=ALWAYS, neighbours=2)
    assert fitted["indices"].tolist() == [1, 0]
    np.testing.assert_allclose(fitted["data"], [1, 1], rtol=1e-6)


def test_covisitation_counts_the_same_in_small_pieces(monkeypatch) -> None:
    options = {"window": 10, "half_life_days": 60, "neighbours": 3}
    whole = covisitation.fit(past(), **options)
    monkeypatch.setattr(covisitation, "PAIRS_AT_ONCE", 20)
    for key, array in covisitation.fit(past(), **options).items():
        np.testing.assert_allclose(array, whole[key], rtol=1e-6)


def test_covisitation_weighs_the_newest_item_of_a_user_most() -> None:
    step = np.arange(SIZE + 1, dtype=np.int32)
    one_neighbour = {"indptr": step, "indices": (step[:-1] + 1) % SIZE, "data": np.ones(SIZE, np.float32)}
    first = past().histories.take(np.array([0]))
    (scores,) = dense(covisitation.scorer(one_neighbour, first), first, SIZE)
    newest_first = [11, 9, 7, 5, 3]  # user 0 viewed 10, 8, 6, 4, 2: the last one newest
    np.testing.assert_allclose(scores[newest_first], [(1 + n) ** -0.5 for n in range(5)], rtol=1e-6)
    assert np.isneginf(np.delete(scores, newest_first)).all()
