import numpy as np
from scipy.sparse import csr_matrix, identity

from pipelines.core.models import labels
from tests.core.board import CUT, SIZE, USERS, bundle, proposed

SOURCES = ["svd", "covisitation", "popularity"]


def test_graded_is_the_gain_of_each_candidate() -> None:
    found = proposed(bundle(), USERS, SIZE)
    grades = labels.graded(found, csr_matrix(identity(SIZE) * 4.0))
    np.testing.assert_array_equal(grades, np.where(found.user_pos == found.item_idx, 4.0, 0.0))


def test_graded_without_gains_is_zero() -> None:
    found = proposed(bundle(), USERS, 3)
    assert not labels.graded(found, csr_matrix((SIZE, SIZE))).any()


def test_sampled_keeps_positives_and_a_few_others() -> None:
    found = proposed(bundle(), USERS, SIZE)
    grades = (found.user_pos == found.item_idx).astype(np.float32)
    grades[found.user_pos == 5] = 0
    kept = labels.sampled(found, grades, 2, np.random.default_rng(1))
    count = np.bincount(found.user_pos[kept], minlength=SIZE)
    assert count.tolist() == [0 if user == 5 else 3 for user in range(SIZE)]
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(kept, labels.sampled(found, grades, 2, np.random.default_rng(1)))


def test_table_gives_back_the_candidates() -> None:
    model = bundle()
    found = proposed(model, USERS, 4)
    grades = np.arange(len(found.item_idx), dtype=np.float32)
    categories = np.array(["even" if item % 2 == 0 else "" for item in range(SIZE)], object)
    ids = {"user_ids": model.user_ids, "item_ids": model.item_ids, "categories": categories}
    table = labels.to_table(found, grades, sources=SOURCES, cut=CUT, first_group=100, **ids)
    back = labels.from_table(table, SOURCES)
    assert back.groups.tolist() == [100 + u for u in range(SIZE)]
    assert back.user_ids.tolist() == model.user_ids.tolist()
    assert (back.at == CUT.timestamp()).all()
    for name in ("user_pos", "item_idx", "source_scores", "source_ranks", "source"):
        np.testing.assert_array_equal(getattr(back.candidates, name), getattr(found, name))
    np.testing.assert_array_equal(back.labels, grades)
    assert table["category"].to_pylist() == ["even" if item % 2 == 0 else "" for item in found.item_idx]
