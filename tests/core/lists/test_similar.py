from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.lists import similar
from tests.serving.shop import SIZE, bundle

MODEL = bundle()


def _csr(*rows: dict[int, float]) -> dict[str, np.ndarray]:
    indptr = np.cumsum([0, *(len(row) for row in rows)])
    return {
        "indptr": indptr.astype(np.int32),
        "indices": np.array([item for row in rows for item in row], np.int32),
        "data": np.array([value for row in rows for value in row.values()], np.float32),
    }


def test_of_item_merges_sources_by_ranks() -> None:
    """Item 0: one source says 3, 2, 1 (not 4: below 0), the other 2, 5. By places: 2 is 60/61 and 1, 3 is 1, ..."""
    sources = {"item_item": _csr({1: 0.1, 2: 0.2, 3: 0.3, 4: -1.0}), "covisitation": _csr({5: 0.1, 2: 0.9})}
    found = similar.of_item(replace(MODEL, sources=sources), 0)
    assert found.item_idx.tolist() == [2, 3, 5, 1]
    assert found.scores == pytest.approx([(60 / 61 + 1) / 2, 1 / 2, 60 / 61 / 2, 60 / 62 / 2])
    assert found.sources == ["covisitation", "item_item", "covisitation", "item_item"]


def test_of_item_on_the_checkerboard_is_of_its_colour() -> None:
    for item in range(SIZE):
        found = similar.of_item(MODEL, item).item_idx.tolist()
        assert found
        assert all(other % 2 == item % 2 and other != item for other in found)


def test_of_item_without_such_sources_is_empty() -> None:
    assert similar.of_item(replace(MODEL, sources={}), 0).item_idx.tolist() == []


def test_by_title_is_best_first() -> None:
    found = similar.by_title(np.array([0.0, 0.5, 0.9, 0.5], np.float32))
    assert (found.item_idx.tolist(), found.sources) == ([2, 1, 3], ["title"] * 3)
    assert similar.by_title(np.zeros(0, np.float32)).item_idx.tolist() == []


def test_popular_beside_is_of_the_category_and_popular_first() -> None:
    order = [item for item in MODEL.sources["popularity"]["order"].tolist() if item % 2]
    found = similar.popular_beside(MODEL, np.arange(SIZE) % 2, 1)
    assert (found.item_idx.tolist(), found.sources[0]) == (order, "category")
    assert similar.popular_beside(MODEL, np.full(SIZE, -1), -1).item_idx.tolist() == []
