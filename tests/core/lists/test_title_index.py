import numpy as np
import pytest

from pipelines.core.lists.title_index import TitleIndex

TITLES = ["Red shoe", "RED, red hat!", "blue hat", None, "other"]
CATEGORIES = ["feet", "head", "head", "head", None]


def test_alike_is_the_cosine_of_the_words() -> None:
    """Rarity is log(6 / items): red, hat 2 of 5, head 3, shoe, blue, other, feet 1."""
    index = TitleIndex.of(TITLES, CATEGORIES)
    red = hat = np.log(3)
    shoe = blue = feet = np.log(6)
    head = np.log(2)
    found = index.alike("a red hat", "head")
    length = np.sqrt(red**2 + hat**2 + head**2)
    assert found == pytest.approx(
        [
            red**2 / np.sqrt(red**2 + shoe**2 + feet**2) / length,
            1.0,
            (hat**2 + head**2) / np.sqrt(blue**2 + hat**2 + head**2) / length,
            head**2 / head / length,
            0.0,
        ]
    )


@pytest.mark.parametrize(("title", "category"), [(None, None), ("unheard of", "new"), ("", None)])
def test_alike_to_nothing_known(title: str | None, category: str | None) -> None:
    assert TitleIndex.of(TITLES, CATEGORIES).alike(title, category).tolist() == [0, 0, 0, 0, 0]


def test_category_is_no_word_of_titles() -> None:
    assert TitleIndex.of(["head", "x"], [None, "head"]).alike("head", None).tolist() == [1, 0]


def test_index_of_no_items() -> None:
    assert TitleIndex.of([], []).alike("red", "feet").tolist() == []
