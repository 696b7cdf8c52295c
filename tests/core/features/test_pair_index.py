"""Pairs of codes at dense places."""

import numpy as np
import pytest

from pipelines.core.features.pair_index import PairIndex


def test_pairs_get_places_in_order_and_keep_them() -> None:
    index = PairIndex()
    assert index.add(np.array([1, 1, 2]), np.array([5, 7, 0])).tolist() == [0, 1, 2]
    assert index.add(np.array([2, 3]), np.array([0, 1])).tolist() == [2, 3]
    assert index.find(np.array([1, 7]), np.array([7, 1])).tolist() == [1, -1]


def test_a_new_pair_that_comes_twice_gets_one_place() -> None:
    index = PairIndex()
    places = index.add(np.array([4, 1, 4]), np.array([0, 0, 0]))
    assert places[0] == places[2] != places[1]
    assert len(index) == 2


def test_codes_of_places_are_those_that_were_added() -> None:
    index = PairIndex()
    places = index.add(np.array([3, 2**31 - 1]), np.array([2**31 - 1, 0]))
    assert [codes.tolist() for codes in index.codes(places)] == [[3, 2**31 - 1], [2**31 - 1, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_places_equal_those_of_a_dictionary(seed: int) -> None:
    rng, index, known = np.random.default_rng(seed), PairIndex(), {}
    for size in (0, 1, 3, 500, 40_000):
        first, second = rng.integers(0, 300, (2, size), np.int32)
        places = index.add(first, second)
        for place, *pair in zip(places.tolist(), first.tolist(), second.tolist(), strict=True):
            assert known.setdefault(tuple(pair), place) == place
    assert sorted(known.values()) == list(range(len(index)))
    absent = index.find(np.arange(300, 400, dtype=np.int32), np.arange(100, dtype=np.int32))
    assert (absent == -1).all()


def test_an_index_comes_back_from_its_arrays() -> None:
    index = PairIndex()
    pairs = np.arange(1000), np.arange(1000)[::-1]
    index.add(*pairs)
    again = PairIndex(index.keys.copy(), index.slots.copy())
    assert (again.add(*pairs) == np.arange(1000)).all()
    assert again.add(np.array([7]), np.array([7])).tolist() == [1000]
