import pytest

from pipelines.core.models import input_words, ranking
from pipelines.core.models.ranker_inputs import SERVICES
from pipelines.core.models.sources import SOURCES


@pytest.mark.parametrize("service", SERVICES)
def test_every_input_has_words_of_its_own(service: str) -> None:
    names = ranking.input_names(list(SOURCES), service)
    told = [input_words.words(name, 14) for name in names]
    assert len(set(told)) == len(names)
    assert not [words for words in told if "_" in words or "{" in words]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("covisitation_rank", "place in what is viewed together with the user's items"),
        ("svd_relative", "score in what people of similar taste want now, against the best there"),
        ("item_users_tenth", "users of the item in 1.4 days"),
        ("item_trend_half_three", "users of the item in 7 days against 42 days"),
        ("user_activity_v1__views_7d", "the user's views of 7 days"),
        ("user_item_activity_v2__carts_all", "the user's additions to the cart of this item ever"),
        ("item_profile_v1__price", "the item's price"),
        ("item_trend_carts", "additions to the cart of the item in 7 days against 30"),
        ("something new", "something new"),
    ],
)
def test_words_of_an_input(name: str, words: str) -> None:
    assert input_words.words(name, 14) == words
