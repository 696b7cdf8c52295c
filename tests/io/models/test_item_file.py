from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError
from pipelines.core.models.past import Catalogue
from pipelines.io.models.item_file import read

KNOWN = np.array(["1", "2", "3"])


def _read(path: Path, columns: dict[str, Any]) -> Catalogue:
    pq.write_table(pa.table(columns), path / "items.parquet")
    return read(path / "items.parquet", KNOWN)


def test_read_gives_what_is_known_of_the_items_in_their_order(tmp_path: Path) -> None:
    catalogue = _read(
        tmp_path,
        {
            "item_id": [3, 9, 1],
            "title": ["Lamp", "Sofa", None],
            "description": ["brass", "red", None],
            "category": pa.array(["light", "seat", None]).dictionary_encode(),
            "price": [5, 9, None],
        },
    )
    assert catalogue.text.tolist() == [None, None, "Lamp brass"]
    assert catalogue.category.tolist() == [None, None, "light"]
    np.testing.assert_array_equal(catalogue.price, [np.nan, np.nan, 5])


def test_read_needs_nothing_but_ids(tmp_path: Path) -> None:
    catalogue = _read(tmp_path, {"item_id": ["2"]})
    assert catalogue.text.tolist() == catalogue.category.tolist() == [None] * 3
    assert np.isnan(catalogue.price).all()


def test_read_takes_the_last_of_several_rows(tmp_path: Path) -> None:
    assert _read(tmp_path, {"item_id": ["2", "1", "2"], "price": [1.0, 2.0, 3.0]}).price[:2].tolist() == [2, 3]


def test_read_csv_items(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title,price\n2,Red sofa,1.5\n1,,\n")
    catalogue = read(tmp_path / "items.csv", KNOWN)
    assert catalogue.text.tolist() == [None, "Red sofa", None]
    np.testing.assert_array_equal(catalogue.price, [np.nan, 1.5, np.nan])


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"id": [1]}, "no column item_id, only id"),
        ({"item_id": ["1", None]}, "item_id is null in 1 of 2 rows"),
        ({"item_id": ["1"], "price": ["dear"]}, "price is of type"),
        ({"item_id": ["1"], "title": [["a", "b"]]}, "title is of type"),
    ],
)
def test_read_says_what_is_wrong_with_items(columns: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        _read(tmp_path, columns)
