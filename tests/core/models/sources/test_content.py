from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.sources import content
from tests.core.models.sources.dense import dense
from tests.core.models.sources.logs import met

NAMES = np.array(["Red tea cup", "Blue TEA cup!", "Oak chair", "Oak table", None], object)


def shop(text: np.ndarray = NAMES, **more: np.ndarray) -> Past:
    """Users 0 and 1 have met items 0 and 2, nobody the others."""
    known = replace(Catalogue.unknown(len(text)), text=text, **more)
    return met((0, 0, 1), (1, 2, 1), items=len(text), catalogue=known)


def scores(log: Past, max_users: int = 0, half_life_days: float = 30) -> np.ndarray:
    fitted = content.fit(log, max_users=max_users, half_life_days=half_life_days)
    return dense(content.scorer(fitted, log.histories), log.histories, log.n_items)


def test_content_finds_the_item_with_alike_text_that_nobody_has_met() -> None:
    assert scores(shop()).argmax(axis=1).tolist() == [1, 3]


def test_content_is_the_cosine_of_tf_idf_vectors() -> None:
    once, twice = np.log(5 / 1), np.log(5 / 2)  # of four items with text, one more than there are
    tea_cup = 2 * twice**2 / (2 * twice**2 + once**2)  # they share two words of three
    np.testing.assert_allclose(scores(shop())[0, 1], tea_cup, rtol=1e-5)


def test_content_proposes_only_what_at_most_max_users_have_met() -> None:
    assert np.isfinite(scores(shop(), max_users=0)[0]).tolist() == [False, True, False, False, False]
    assert np.isfinite(scores(shop(), max_users=1)[0]).tolist() == [True, True, False, False, False]


def test_content_counts_a_word_that_is_said_again_less() -> None:
    log = shop(np.array(["tea tea cup", "tea", "oak"], object))
    tea, cup = np.log(4 / 2), np.log(4 / 1)
    said_twice = (1 + np.log(2)) * tea
    np.testing.assert_allclose(scores(log)[0, 1], said_twice / np.hypot(said_twice, cup), rtol=1e-5)


@pytest.mark.parametrize(
    "known", [{"category": np.array(["x", "x", "y", "y"], object)}, {"price": np.array([10, 10.5, 400, 410])}]
)
def test_content_sees_category_and_price_beside_the_words(known: dict[str, np.ndarray]) -> None:
    found = np.isfinite(scores(shop(np.array(["a", "b", "c", "d"], object), **known)))
    assert found.tolist() == [[False, True, False, False], [False, False, False, True]]


def test_content_weighs_the_newest_of_a_history_most() -> None:
    log = met((0, 0, 100), (0, 2, 1), items=5, catalogue=replace(Catalogue.unknown(5), text=NAMES))
    (row,) = scores(log)
    assert row[3] > row[1] > 0


def test_content_says_nothing_where_no_text_is_known() -> None:
    assert np.isneginf(scores(shop(np.full(5, None)))).all()
    assert np.isneginf(scores(shop())[:, 4]).all()
