import numpy as np
import pytest

from pipelines.core.models.histories import Histories
from pipelines.core.models.peers import ranking

HISTORIES = Histories(np.array([0, 1, 1, 4]), np.array([3, 0, 1, 2], np.int32), *np.ones((2, 4), np.float32))
SCORES = np.array([[1, 2, 2, 9], [4, 3, -np.inf, -np.inf], [7, 8, 9, 0]], np.float32)


def _rank(users: list[int], k: int) -> list[list[int]]:
    return ranking.rank(lambda user_idx: SCORES[user_idx], HISTORIES, np.array(users), 4, k).tolist()


def test_rank_leaves_out_seen_items_and_breaks_ties_by_position() -> None:
    assert _rank([0], 3) == [[1, 2, 0]]


def test_rank_ends_where_a_peer_has_nothing_to_say() -> None:
    assert _rank([1, 2], 3) == [[0, 1, -1], [3, -1, -1]]


def test_rank_fills_up_lists_longer_than_the_catalogue() -> None:
    assert _rank([1], 6) == [[0, 1, -1, -1, -1, -1]]


def test_rank_does_not_depend_on_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _rank([2, 0, 1], 3)
    monkeypatch.setattr(ranking, "CELLS", 8)
    assert _rank([2, 0, 1], 3) == whole
    monkeypatch.setattr(ranking, "CELLS", 1)
    assert _rank([2, 0, 1], 3) == whole
