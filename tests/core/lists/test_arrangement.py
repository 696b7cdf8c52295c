from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.lists.arrangement import Arrangement, arranged, fresh
from tests.serving.shop import bundle

ITEMS = np.array([10, 11, 12, 13, 14, 15], np.int32)
SCORES = np.array([1.0, 6.0, 4.0, 4.0, np.nan, 5.0], np.float32)
ALL = np.ones(6, bool)
CATEGORY = np.array([0, 1, 1, 0, 0, 1], np.int32)


def _rows(how: Arrangement, keep: np.ndarray = ALL, fresh: np.ndarray | None = None) -> list[int]:
    vectors = np.zeros((16, 2), np.float32)
    return arranged(how, ITEMS, SCORES, keep, CATEGORY, fresh, lambda item_idx: vectors[item_idx])[0].tolist()


def test_arranged_is_best_first_and_ties_are_in_the_order_of_items() -> None:
    assert _rows(Arrangement(4)) == [1, 5, 2, 3]
    assert _rows(Arrangement(100)) == [1, 5, 2, 3, 0]


def test_arranged_shows_nothing_but_what_may_be_shown() -> None:
    keep = ALL.copy()
    keep[[1, 2]] = False
    pins = ((0, 11), (1, 10))
    assert _rows(Arrangement(9, pins=pins), keep) == [5, 0, 3]
    assert _rows(Arrangement(9, diversity=0.5, max_per_category=1, pins=pins), keep) == [5, 0]
    assert _rows(Arrangement(9, explore=1.0), keep, np.ones(6, np.float32)) == [5, 3, 0]


def test_arranged_keeps_to_the_cap() -> None:
    assert _rows(Arrangement(9, max_per_category=1)) == [1, 3]
    assert _rows(Arrangement(9, max_per_category=2)) == [1, 5, 3, 0]


def test_arranged_by_mmr_pushes_apart_what_is_alike() -> None:
    """Scores on 0..1 are 1, 0.8, 0.6, 0.6, 0; with t = ½ of category 0: ½ · 0.6 = 0.3; of 1: ½ · 0.8 − ¼ = 0.15."""
    assert _rows(Arrangement(3, diversity=0.5)) == [1, 3, 5]


def test_arranged_by_mmr_finds_other_categories_far_below_the_best() -> None:
    items, category = np.arange(200, dtype=np.int32), np.zeros(200, np.int32)
    category[180], category[190] = 1, 2
    scores = np.arange(200.0, 0.0, -1.0).astype(np.float32)
    how = Arrangement(4, diversity=0.5, max_per_category=2)
    rows = arranged(how, items, scores, np.ones(200, bool), category, None, lambda i: np.zeros((len(i), 2), np.float32))
    assert sorted(rows[0]) == [0, 1, 180, 190]


def test_arranged_in_turns_of_categories() -> None:
    assert _rows(Arrangement(5, spread=1)) == [1, 3, 5, 0, 2]


@pytest.mark.parametrize(
    ("pins", "rows"),
    [
        (((0, 10),), [0, 1, 5]),
        (((2, 10),), [1, 5, 0]),
        (((1, 11),), [5, 1, 2]),
        (((0, 10), (0, 13)), [0, 3, 1]),
        (((0, 10), (1, 10)), [0, 1, 5]),
        (((3, 10), (0, 14), (1, 99)), [1, 5, 2]),
    ],
)
def test_arranged_puts_pins_where_they_belong(pins: tuple, rows: list[int]) -> None:
    assert _rows(Arrangement(3, pins=pins)) == rows


def test_pin_of_a_short_list_stands_last() -> None:
    keep = np.array([True, True, False, False, False, False])
    assert _rows(Arrangement(5, pins=((4, 10),)), keep) == [1, 0]


def test_pins_count_for_the_cap_but_stand_beyond_it() -> None:
    assert _rows(Arrangement(9, max_per_category=1, pins=((0, 12), (1, 15)))) == [2, 5, 3]
    assert _rows(Arrangement(9, max_per_category=1, diversity=0.1, pins=((0, 12), (1, 15)))) == [2, 5, 3]


def test_exploration_takes_its_share_of_the_places() -> None:
    rng = np.random.default_rng(7)
    items, scores = np.arange(100, dtype=np.int32), rng.random(100).astype(np.float32)
    few = np.where(np.arange(100) % 2, 0.5, np.nan).astype(np.float32)
    usual = arranged(Arrangement(10), items, scores, np.ones(100, bool), np.full(100, -1))[0].tolist()
    shown = []
    for seed in range(300):
        rows, explored = arranged(
            Arrangement(10, explore=0.15, seed=seed), items, scores, np.ones(100, bool), np.full(100, -1), few
        )
        assert len(set(rows.tolist())) == 10
        assert all(row % 2 and row not in usual for row in rows[explored].tolist())
        assert rows[~explored].tolist() == usual[: int((~explored).sum())]
        shown.append(int(explored.sum()))
    assert set(shown) == {1, 2}
    assert np.mean(shown) == pytest.approx(1.5, abs=0.1)


def test_exploration_draws_in_proportion_to_what_fits() -> None:
    items, scores = np.arange(4, dtype=np.int32), np.array([9, 1, 1, 1], np.float32)
    few = np.array([np.nan, 0.6, 0.3, 0.0], np.float32)
    drawn = []
    for seed in range(2000):
        how = Arrangement(1, explore=1.0, seed=seed)
        drawn += arranged(how, items, scores, np.ones(4, bool), np.full(4, -1), few)[0].tolist()
    assert np.bincount(drawn, minlength=4) / 2000 == pytest.approx([0, 2 / 3, 1 / 3, 0], abs=0.03)


def test_exploration_is_the_same_for_the_same_seed_and_keeps_to_the_cap() -> None:
    how = Arrangement(4, explore=0.5, seed=5, max_per_category=1, pins=((1, 13),))
    few = np.array([0.5, np.nan, 0.5, np.nan, np.nan, np.nan], np.float32)
    assert _rows(how, fresh=few) == _rows(how, fresh=few)
    assert sorted(CATEGORY[_rows(how, fresh=few)].tolist()) == [0, 1]
    assert 3 in _rows(how, fresh=few)


def test_no_exploration_without_a_share_or_without_new_items() -> None:
    assert _rows(Arrangement(4), fresh=np.ones(6, np.float32)) == [1, 5, 2, 3]
    assert _rows(Arrangement(4, explore=1.0), fresh=np.full(6, np.nan, np.float32)) == [1, 5, 2, 3]


def test_fresh_is_the_content_score_where_a_model_has_it() -> None:
    from pipelines.core.models import scoring

    model = bundle()
    candidates = scoring.candidates(model, model.histories.take(np.array([0])), 5)
    assert fresh(model, candidates) is None
    manifest = {**model.manifest, "sources": ["content", "covisitation", "popularity"]}
    found = fresh(replace(model, manifest=manifest), candidates)
    assert found is not None
    np.testing.assert_array_equal(found, candidates.source_scores[:, 0])
