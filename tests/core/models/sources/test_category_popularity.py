import numpy as np
import pytest

from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.sources import category_popularity
from tests.core.models.sources.dense import dense
from tests.core.models.sources.logs import met

OPTIONS = {"half_life_days": 1e9, "taste_half_life_days": 10.0}
TEA_AND_CUPS = np.array(["tea", "tea", "cups", "cups", None], object)


def catalogue(category: np.ndarray) -> Catalogue:
    return Catalogue(np.full(len(category), None), category, np.full(len(category), np.nan))


def _dense(log: Past) -> np.ndarray:
    return dense(
        category_popularity.scorer(category_popularity.fit(log, **OPTIONS), log.histories), log.histories, log.n_items
    )


def test_category_popularity_weighs_shares_by_the_users_affinity() -> None:
    # tea: item 0 met twice, 1 once; cups: item 2 once, 3 three times. User 0: tea just now, cups a half-life ago
    events = [(0, 0, 0), (0, 2, 10), (1, 0, 1), (1, 1, 1), (1, 3, 1), (2, 3, 1), (3, 3, 1), (3, 4, 1)]
    log = met(*events, items=5, catalogue=catalogue(TEA_AND_CUPS))
    fitted = category_popularity.fit(log, **OPTIONS)
    first = log.histories.take(np.array([0]))
    (scores,) = dense(category_popularity.scorer(fitted, first), first, log.n_items)
    tea, cups = 2 / 3, 1 / 3
    np.testing.assert_allclose(scores[:4], [tea * 2 / 3, tea / 3, cups / 4, cups * 3 / 4], rtol=1e-5)
    assert np.isneginf(scores[4])  # no category


def test_category_popularity_is_of_these_days() -> None:
    log = met((0, 0, 0), (1, 1, 14), items=2, catalogue=catalogue(TEA_AND_CUPS[:2]))
    fitted = category_popularity.fit(log, half_life_days=7, taste_half_life_days=7)
    np.testing.assert_allclose(fitted["share"], [0.8, 0.2], rtol=1e-6)  # 1 and a quarter


def test_category_popularity_says_nothing_outside_a_users_categories() -> None:
    log = met((0, 0, 1), (1, 2, 1), (2, 4, 1), items=5, catalogue=catalogue(TEA_AND_CUPS))
    scores = _dense(log)
    assert np.isfinite(scores).tolist() == [
        [True, False, False, False, False],
        [False, False, True, False, False],
        [False, False, False, False, False],
    ]


@pytest.mark.parametrize("user", [0, 1])
def test_category_popularity_says_nothing_where_no_category_is_known(user: int) -> None:
    log = met((0, 0, 1), (1, 1, 1), items=2)
    scores = _dense(log)
    assert np.isneginf(scores[user]).all()
