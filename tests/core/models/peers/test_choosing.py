from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipelines.core.models.interactions import Interactions
from pipelines.core.models.peers import choosing
from pipelines.core.models.peers.choosing import Training, fit, rehearsal
from pipelines.core.models.peers.peer import Peer, Scorer, Setting

DAY = 86_400.0
CUT = 20 * DAY
USERS, ITEMS = 60, 4


def _log() -> Interactions:
    """On day 1 one user meets all items but a, the others a; these meet d on day 12, and b or c on day 13."""
    user = np.concatenate([[USERS] * 3, np.tile(np.arange(USERS), 3)]).astype(np.int32)
    item = np.concatenate([[1, 2, 3], [0] * USERS, [3] * USERS, 1 + np.arange(USERS) % 2]).astype(np.int32)
    day = np.repeat([1.0, 1.0, 12.0, 13.0], [3, USERS, USERS, USERS])
    ids = np.array([f"u{n:02}" for n in range(USERS + 1)])
    return Interactions(ids, np.array(list("abcd")), user, item, np.ones(len(day), np.float32), day * DAY)


def _likes_one_item(fitted: list[tuple[int, int]]) -> Peer:
    """Recommends one item to everybody; ``fitted`` gets (interactions, that item) of each fit."""

    def fit_each(user_items: csr_matrix, settings: Sequence[Setting], rng: np.random.Generator) -> Iterator[Scorer]:
        for setting in settings:
            fitted.append((user_items.nnz, int(setting["item"])))
            liked = np.full((1, ITEMS), -np.inf, np.float32)
            liked[0, int(setting["item"])] = 1
            yield lambda user_idx, liked=liked: np.repeat(liked, len(user_idx), axis=0)

    return Peer(fit_each, lambda user_items: [{"item": 1}, {"item": 3}, {"item": 2}])


def test_rehearsal_is_the_same_task_one_window_earlier() -> None:
    rehearsed = rehearsal(_log(), CUT, 8.0, np.random.default_rng(7))
    assert rehearsed is not None
    assert rehearsed.training.user_items.nnz == USERS + 3
    assert len(rehearsed.holdout.users) == USERS
    assert np.diff(rehearsed.holdout.indptr).tolist() == [2] * USERS


def test_rehearsal_measures_a_sample_of_many_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "MOST_USERS", 55)
    rehearsed = rehearsal(_log(), CUT, 8.0, np.random.default_rng(7))
    assert rehearsed is not None
    assert len(rehearsed.holdout.users) == 55


def test_rehearsal_needs_enough_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "LEAST_USERS", USERS + 1)
    assert rehearsal(_log(), CUT, 8.0, np.random.default_rng(7)) is None


def test_rehearsal_is_on_the_last_items_of_users_where_the_window_holds_too_few() -> None:
    log = _log()
    user, item = np.repeat(np.arange(USERS), 5).astype(np.int32), np.tile(np.arange(5), USERS).astype(np.int32)
    at_once = Interactions(log.user_ids, np.array(list("abcde")), user, item, np.ones(5 * USERS), np.zeros(5 * USERS))
    rehearsed = rehearsal(at_once, CUT, 30.0, np.random.default_rng(7))
    assert rehearsed is not None
    assert rehearsed.training.user_items.nnz == 4 * USERS
    assert len(rehearsed.holdout.users) == USERS


def test_fit_takes_what_did_best_in_the_rehearsal_and_fits_it_on_everything() -> None:
    rehearsed, fitted = rehearsal(_log(), CUT, 8.0, np.random.default_rng(7)), []
    scorer, chosen = fit(_likes_one_item(fitted), Training.of(_log(), CUT), rehearsed, 7)
    assert chosen == {"item": 3}  # new to everybody, b and c to one half each
    earlier, everything = USERS + 3, 3 * USERS + 3
    assert fitted == [(earlier, 1), (earlier, 3), (earlier, 2), (everything, 3)]
    assert scorer(np.array([0])).argmax() == 3


def test_fit_without_a_rehearsal_takes_the_first_setting() -> None:
    fitted: list[tuple[int, int]] = []
    assert fit(_likes_one_item(fitted), Training.of(_log(), CUT), None, 7)[1] == {"item": 1}
    assert fitted == [(3 * USERS + 3, 1)]


def test_training_has_each_pair_once() -> None:
    log = _log()
    twice = Interactions(
        log.user_ids,
        log.item_ids,
        np.append(log.user_idx, log.user_idx[:1]),
        np.append(log.item_idx, log.item_idx[:1]),
        np.append(log.weight, np.float32(8)),
        np.append(log.epoch_s, 14 * DAY),
    )
    training = Training.of(twice, CUT)
    assert training.user_items.dtype == np.float32
    assert set(training.user_items.data) == {1.0}
    assert training.user_items.nnz == 3 * USERS + 3
