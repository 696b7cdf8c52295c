"""The first row of an event id stays, whatever the order they come in."""

import numpy as np

from pipelines.core.lake.duplicates import KEY, repeated


def test_all_but_the_first_of_an_id_are_repeated() -> None:
    keys = np.array([(7, 1, 30), (7, 1, 10), (8, 1, 20), (7, 1, 40)], KEY)
    assert repeated(keys).tolist() == [30, 40]


def test_ids_that_share_half_their_bits_differ() -> None:
    keys = np.array([(7, 1, 1), (7, 2, 2), (8, 1, 3), (7, 2, 4)], KEY)
    assert repeated(keys).tolist() == [4]


def test_no_ids_repeat_nothing() -> None:
    assert repeated(np.empty(0, KEY)).tolist() == []
